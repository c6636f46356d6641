package site

import (
	"bytes"
	"encoding/binary"
)

// The tables of runtime/symtab.go in Go 1.26: a header, then the names of
// functions, the files of units, the names of files, the values by program
// counter, and a record a function.
const (
	headerMagic  = "\xf1\xff\xff\xff\x00\x00\x01\x08"
	recordBytes  = 44 // before the places of the values that only some functions have
	recordFile   = 20
	recordLine   = 24
	recordCount  = 28
	recordUnit   = 32
	recordStart  = 36
	valueUnsafe  = 0 // where signals may not interrupt: there are none here
	valueArgLive = 3 // which arguments a stack trace may print
)

// tables are the parts of a program's memory that clearLines reads.
type tables struct {
	units, files, values, records []byte
	count                         int
}

// findTables finds the tables by their header; false where they are not as known.
func findTables(memory []byte) (tables, bool) {
	at := bytes.Index(memory, []byte(headerMagic))
	if at < 0 || len(memory)-at < 72 {
		return tables{}, false
	}
	memory = memory[at:]
	var places [8]int // functions, files, text, names, units, file names, values, records
	for i := range places {
		v := binary.LittleEndian.Uint64(memory[8+8*i:])
		if v > uint64(len(memory)) || i > 3 && int(v) < places[i-1] {
			return tables{}, false
		}
		places[i] = int(v)
	}
	t := tables{units: memory[places[4]:places[5]], files: memory[places[5]:places[6]], values: memory[places[6]:places[7]], records: memory[places[7]:], count: places[0]}
	return t, len(t.records) >= 8*t.count
}

// record gives a function's record; nil where there is none.
func (t tables) record(i int) []byte {
	at := int(binary.LittleEndian.Uint32(t.records[8*i+4:]))
	if at < 8*t.count || at+recordBytes > len(t.records) {
		return nil
	}
	r := t.records[at:]
	if n := int(binary.LittleEndian.Uint32(r[recordCount:])); n <= 8 && recordBytes+4*n <= len(r) {
		return r[:recordBytes+4*n]
	}
	return nil
}

// extent is how many bytes the pairs of a table of values take, from a place
// to the zero that ends it; 0 where they run beyond.
func (t tables) extent(place uint32) int {
	at := int(place)
	for first := true; ; first = false {
		if at >= len(t.values) {
			return 0
		}
		change, n := binary.Uvarint(t.values[at:])
		if at += n; change == 0 && !first {
			return at - int(place)
		}
		_, m := binary.Uvarint(t.values[at:])
		if at += m; n <= 0 || m <= 0 {
			return 0
		}
	}
}

// clearLines sets to zero what tells the file and line of a program counter, and
// what tells where signals may interrupt: the runtime takes a place of 0 for
// "unknown" and -1. Names of functions, sizes of frames and maps of their
// pointers stay. It does nothing where the tables are not as known.
func clearLines(memory []byte) {
	t, ok := findTables(memory)
	if !ok {
		return
	}
	kept := make([]bool, len(t.values)+1)
	var gone [][]byte // fields with the places of tables to clear
	for i := range t.count {
		r := t.record(i)
		if r == nil {
			return
		}
		for at := 16; at < len(r); at += 4 {
			switch value := (at - recordBytes) / 4; {
			case at == recordCount, at == recordUnit, at == recordStart, at == recordStart+4:
				continue
			case at == recordFile, at == recordLine, at >= recordBytes && (value == valueUnsafe || value == valueArgLive):
				gone = append(gone, r[at:at+4])
				continue
			}
			place := binary.LittleEndian.Uint32(r[at:])
			n := 1
			if place > 0 {
				n = t.extent(place)
			}
			if n == 0 {
				return
			}
			for k := range n {
				kept[int(place)+k] = true
			}
		}
	}
	for i := range t.values {
		if !kept[i] {
			t.values[i] = 0
		}
	}
	for _, field := range gone {
		clear(field)
	}
	for i := range t.count {
		clear(t.record(i)[recordUnit : recordStart+4])
	}
	clear(t.units)
	clear(t.files)
}
