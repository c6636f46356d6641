package sampler

import (
	_ "embed"
	"encoding/json"
	"strings"
	"sync"
)

// classesFile has the fields of every scheduler class of diffusers with their defaults; tests/golden/sampler/classes.py
// makes it.
//
//go:embed classes.json
var classesFile []byte

// class is what diffusers' signature of one scheduler says.
type class struct {
	defaults json.RawMessage
	fields   map[string]json.RawMessage // their defaults, by name
}

// classes has them by name, and knownFields the fields of all.
var classes = sync.OnceValue(func() map[string]class {
	var file map[string]json.RawMessage
	if err := json.Unmarshal(classesFile, &file); err != nil {
		panic(err) // embedded
	}
	m := map[string]class{}
	for name, defaults := range file {
		c := class{defaults: defaults}
		if err := json.Unmarshal(defaults, &c.fields); err != nil {
			panic(err)
		}
		m[name] = c
	}
	return m
})

var knownFields = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for _, c := range classes() {
		for f := range c.fields {
			m[f] = true
		}
	}
	return m
})

// noMatter are fields of older files that change no picture: what held tensors, lists that set_timesteps makes anew,
// and the flag that prediction_type replaced, where it has its default.
var noMatter = map[string]string{
	"tensor_format": "", "timestep_values": "", "timesteps": "", "auto_map": "", "predict_epsilon": "true",
}

// known is whether a field of a file may be left unread: diffusers leaves out those of other classes. One that no
// class has is a newer library's or a mistake, and might change the picture.
func known(field string, value json.RawMessage) bool {
	harmless, listed := noMatter[field]
	return strings.HasPrefix(field, "_") || knownFields()[field] ||
		listed && (harmless == "" || harmless == string(value)) || string(value) == "null"
}
