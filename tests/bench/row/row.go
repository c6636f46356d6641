// Package row is the form of a line of `make bench`: a figure of wisp's beside
// that of a peer, a ceiling or a bound.
package row

import (
	"encoding/json"
	"fmt"
	"math"
)

// Row is one line. A ratio over 1 is in wisp's favour.
type Row struct {
	Case     string  `json:"case"`
	Unit     string  `json:"unit"`
	Wisp     float64 `json:"wisp"`
	Peer     float64 `json:"peer"`
	PeerName string  `json:"peer_name"`
	Ratio    float64 `json:"ratio"`
}

// Least is a row of figures of which the smaller is better.
func Least(name, unit string, wisp, peer float64, peerName string) Row {
	return Row{name, unit, wisp, peer, peerName, peer / wisp}
}

// Most is a row of figures of which the larger is better.
func Most(name, unit string, wisp, peer float64, peerName string) Row {
	return Row{name, unit, wisp, peer, peerName, wisp / peer}
}

// Head is the line above a table of rows.
func Head() string {
	return fmt.Sprintf("%-36s %10s %10s %10s  %-22s %6s", "case", "unit", "wisp", "peer", "", "ratio")
}

// String is the row as a line of a table.
func (r Row) String() string {
	return fmt.Sprintf("%-36s %10s %10.2f %10.2f  %-22s %6.2f", r.Case, r.Unit, r.Wisp, r.Peer, r.PeerName, r.Ratio)
}

// JSON is the row as an object on one line, to three decimals.
func (r Row) JSON() string {
	for _, x := range []*float64{&r.Wisp, &r.Peer, &r.Ratio} {
		*x = math.Round(1000**x) / 1000
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Sprintf("%v: %v", r, err) // NaN or infinite: a case that took no time
	}
	return string(line)
}
