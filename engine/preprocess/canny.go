package preprocess

import "image"

// Canny finds edges, white on black, as OpenCV's Canny does with an aperture of
// 3 and the sum of absolute gradients: Canny 1986. Of a pixel's colours, the one
// with the largest gradient counts. An edge begins over high, in sums of 8-bit
// differences weighted by Sobel's operator, and goes on over low.
func Canny(img *image.NRGBA, low, high float64) *image.NRGBA {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	if low > high {
		low, high = high, low
	}
	g := sobel(img)
	const rejected, candidate, edge = 0, 1, 2
	state := make([]uint8, w*h)
	var stack []int
	for i := range state {
		if m := g.sum[g.at(i%w, i/w)]; m > int(low) && g.peak(i%w, i/w) {
			state[i] = candidate
			if m > int(high) {
				state[i] = edge
				stack = append(stack, i)
			}
		}
	}
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for y := max(0, i/w-1); y <= min(h-1, i/w+1); y++ {
			for x := max(0, i%w-1); x <= min(w-1, i%w+1); x++ {
				if j := y*w + x; state[j] == candidate {
					state[j] = edge
					stack = append(stack, j)
				}
			}
		}
	}
	return grey(w, h, func(i int) uint8 {
		if state[i] == edge {
			return 255
		}
		return rejected
	})
}

// gradients are those of a picture with a frame of zeros around it.
type gradients struct {
	wide        int
	dx, dy, sum []int
}

func (g gradients) at(x, y int) int { return (y+1)*g.wide + x + 1 }

// sobel takes the gradients of the colour that changes most; outside, the last
// pixel goes on.
func sobel(img *image.NRGBA) gradients {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	n := (w + 2) * (h + 2)
	g := gradients{w + 2, make([]int, n), make([]int, n), make([]int, n)}
	for y := range h {
		rows := [3]int{max(0, y-1), y, min(h-1, y+1)}
		for x := range w {
			columns := [3]int{max(0, x-1), x, min(w-1, x+1)}
			i := g.at(x, y)
			for c := range 3 {
				v := func(column, row int) int { return int(img.Pix[img.PixOffset(columns[column], rows[row])+c]) }
				dx := v(2, 0) + 2*v(2, 1) + v(2, 2) - v(0, 0) - 2*v(0, 1) - v(0, 2)
				dy := v(0, 2) + 2*v(1, 2) + v(2, 2) - v(0, 0) - 2*v(1, 0) - v(2, 0)
				if sum := max(dx, -dx) + max(dy, -dy); c == 0 || sum > g.sum[i] {
					g.dx[i], g.dy[i], g.sum[i] = dx, dy, sum
				}
			}
		}
	}
	return g
}

// peak reports whether the gradient is the largest across its edge, whose
// direction is one of four: the tangents of 22.5° and 67.5° part them.
func (g gradients) peak(x, y int) bool {
	const tangent = 13573 // of 22.5°, times 2¹⁵
	i := g.at(x, y)
	m, dx, dy := g.sum[i], max(g.dx[i], -g.dx[i]), max(g.dy[i], -g.dy[i])<<15
	switch flat := dx * tangent; {
	case dy < flat:
		return m > g.sum[i-1] && m >= g.sum[i+1]
	case dy > flat+dx<<16:
		return m > g.sum[i-g.wide] && m >= g.sum[i+g.wide]
	}
	s := 1
	if (g.dx[i] ^ g.dy[i]) < 0 {
		s = -1
	}
	return m > g.sum[i-g.wide-s] && m > g.sum[i+g.wide+s]
}
