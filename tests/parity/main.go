// Command parity makes one table of the lines "parity: {...}" that tests log: a
// row for each network and pipeline, a column for each backend.
//
//	go run ./tests/parity [-json] FILE
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"slices"
	"strings"
)

// row is what a test logs: a network's largest error over its largest value,
// or a pipeline's picture in dB.
type row struct {
	Case    string  `json:"case"`
	Backend string  `json:"backend"`
	Weights string  `json:"weights"`
	Error   float64 `json:"error,omitempty"`
	NMSE    float64 `json:"nmse,omitempty"`
	DB      float64 `json:"dB,omitempty"`
}

// column is where the row stands: "chromium simd", or the type of the weights
// where that is not f32.
func (r row) column() string {
	if r.Weights != "f32" {
		return r.Weights
	}
	return strings.ReplaceAll(r.Backend, "relaxed", "simd")
}

func main() {
	log.SetFlags(0)
	asJSON := flag.Bool("json", false, "an object a line")
	flag.Parse()
	f, err := os.Open(flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	networks, pipelines := map[string]map[string]row{}, map[string]map[string]row{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		where, text, ok := strings.Cut(lines.Text(), "parity: ")
		if browser, rest, found := strings.Cut(text, "{"); ok && found {
			var r row
			if err := json.Unmarshal([]byte("{"+rest), &r); err != nil {
				log.Fatalf("%s: %v", where, err)
			}
			r.Backend = browser + r.Backend
			table := networks
			if r.DB != 0 {
				table = pipelines
			}
			worst(table, r)
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	print("network", networks, *asJSON)
	print("pipeline", pipelines, *asJSON)
	if !*asJSON {
		fmt.Printf("%d networks, %d pipelines\n", len(networks), len(pipelines))
	}
}

// worst keeps of a case and a column the worst of what is compared there.
func worst(table map[string]map[string]row, r row) {
	if table[r.Case] == nil {
		table[r.Case] = map[string]row{}
	}
	at := r.column()
	if old, ok := table[r.Case][at]; ok {
		r.Error, r.NMSE = max(r.Error, old.Error), max(r.NMSE, old.NMSE)
		if old.DB != 0 {
			r.DB = min(r.DB, old.DB)
		}
	}
	table[r.Case][at] = r
}

func print(kind string, table map[string]map[string]row, asJSON bool) {
	var cases, columns []string
	for name, cells := range table {
		cases = append(cases, name)
		for c := range cells {
			if !slices.Contains(columns, c) {
				columns = append(columns, c)
			}
		}
	}
	slices.Sort(cases)
	place := func(c string) int {
		return slices.Index([]string{"cpu", "simd", "packed", "f16", "q8"}, c) + 9*len(strings.Fields(c))
	}
	slices.SortFunc(columns, func(a, b string) int { return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b)) })
	if !asJSON {
		fmt.Printf("%-24s", kind)
		for _, c := range columns {
			fmt.Printf(" %16s", c)
		}
		fmt.Println()
	}
	for _, name := range cases {
		if asJSON {
			for _, c := range columns {
				if r, ok := table[name][c]; ok {
					b, err := json.Marshal(r)
					if err != nil {
						log.Fatal(err)
					}
					fmt.Printf("%s\n", b)
				}
			}
			continue
		}
		fmt.Printf("%-24s", name)
		for _, c := range columns {
			fmt.Printf(" %16s", table[name][c])
		}
		fmt.Println()
	}
}

// String is a cell.
func (r row) String() string {
	switch {
	case r.Case == "":
		return "-"
	case r.DB != 0:
		return fmt.Sprintf("%.1f dB", r.DB)
	case r.Weights != "f32":
		return fmt.Sprintf("%.1f dB", -10*math.Log10(r.NMSE))
	}
	return fmt.Sprintf("%.1e", r.Error)
}
