package diffusion

import (
	"io"

	"wisp/engine"
)

// side is a's where n is a².
func side(n int) int {
	a := 0
	for (a+1)*(a+1) <= n {
		a++
	}
	return a
}

// isMiddle tells whether a table (1, a², d) of places has one (1, b², d) in its
// middle.
func isMiddle(table []int, want engine.Shape) bool {
	if len(table) != 3 || len(want) != 3 || table[0] != 1 || want[0] != 1 || table[2] != want[2] || table[2] < 1 || table[1] > 1<<24 {
		return false
	}
	a, b := side(table[1]), side(want[1])
	return a*a == table[1] && b*b == want[1] && a >= b && (a-b)%2 == 0
}

func quantised(d engine.DType) bool { return d == engine.Q8 || d == engine.Q4 }

// middle is a fill of the middle from one of the table.
func middle(d engine.DType, table []int, want engine.Shape, fill func(io.WriterAt) error) func(io.WriterAt) error {
	m := cropped{side: int64(side(table[1])), keep: int64(side(want[1])), row: int64(engine.ByteSize(d, engine.Shape{table[2]}))}
	return func(w io.WriterAt) error {
		m.to = w
		return fill(m)
	}
}

// cropped writes the middle keep × keep of side × side rows of so many bytes.
type cropped struct {
	to              io.WriterAt
	side, keep, row int64
}

func (m cropped) WriteAt(p []byte, at int64) (int, error) {
	edge, line := (m.side-m.keep)/2, m.side*m.row
	for y := max(edge, at/line); y < edge+m.keep && y*line < at+int64(len(p)); y++ {
		begin := y*line + edge*m.row
		from, to := max(begin, at), min(begin+m.keep*m.row, at+int64(len(p)))
		if from >= to {
			continue
		}
		if _, err := m.to.WriteAt(p[from-at:to-at], (y-edge)*m.keep*m.row+from-begin); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
