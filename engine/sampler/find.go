package sampler

import (
	"fmt"
	"slices"
	"strings"
)

// called is whether the name is one that wisp or diffusers has for the row.
func (r row) called(name string) bool {
	return name == r.Name || strings.EqualFold(name, r.Label) || name == r.class
}

// find looks for a sampler by its name, its label, the class in diffusers that it is, or what another tool calls it.
func find(name string, c Config) (row, error) {
	if name == "" {
		if r, ok := own(c); ok {
			return r, nil
		}
		return row{}, fmt.Errorf("sampler: _class_name: %s is not supported; name one of %s: %w", c.class, names(List(c)), ErrConfig)
	}
	for _, r := range table {
		if r.fits(c) && r.called(name) {
			return r, nil
		}
	}
	others := meantBy(nameTable().Samplers, name)
	if slices.ContainsFunc(table, func(r row) bool { return r.called(name) }) { // one of wisp's own, for other models
		others = nil
	}
	for _, other := range others {
		for _, r := range table {
			if r.fits(c) && r.Name == other.name {
				return r, nil
			}
		}
	}
	return row{}, fmt.Errorf("sampler: no %q for this model%s; have %s: %w", name, meant(name, List(c)), names(List(c)), ErrRequest)
}

func names(list []Info) string {
	var all []string
	for _, i := range list {
		all = append(all, i.Name)
	}
	return strings.Join(all, ", ")
}

// meant is a question after what is nearest to a name that is none, by the letters to change; "" where nothing is near.
func meant(name string, list []Info) string {
	best, least := "", len(name)/2+1
	for _, i := range list {
		for _, known := range []string{i.Name, i.Label} {
			if d := distance(strings.ToLower(name), strings.ToLower(known)); d < least {
				best, least = i.Name, d
			}
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}

// distance is Levenshtein's: letters inserted, left out or changed. Names are short; of a longer text the start counts.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, row[j]+1, before+1)
		}
	}
	return row[len(b)]
}
