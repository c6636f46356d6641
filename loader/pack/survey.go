package pack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"wisp/loader"
)

// survey finds the components, fills in the manifest's head and returns those
// with weights in the order in which a pipeline needs them.
func (p *packer) survey() ([]part, error) {
	index, err := p.json("model_index.json")
	if errors.Is(err, fs.ErrNotExist) {
		return p.surveySingle()
	}
	if err != nil {
		return nil, err
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(index, &entries); err != nil {
		return nil, fmt.Errorf("model_index.json: %w", err)
	}
	p.man.Index = index
	var own []string // of a pipeline that brings its code: the file, the class
	if err := json.Unmarshal(entries["_class_name"], &own); err == nil && len(own) == 2 {
		p.man.Pipeline = own[1]
	} else if err := json.Unmarshal(entries["_class_name"], &p.man.Pipeline); err != nil {
		return nil, errors.New("model_index.json: it has no _class_name")
	}
	parts := map[string]part{}
	for name, entry := range entries {
		var pair []*string // [library, class]; [null, null] for an absent component
		if strings.HasPrefix(name, "_") || json.Unmarshal(entry, &pair) != nil || len(pair) != 2 || pair[0] == nil || pair[1] == nil {
			continue
		}
		if parts[name], err = p.register(name, *pair[0], *pair[1]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return p.needed(parts)
}

// register enters a component's config into the manifest, where it has one: a
// tokenizer has only files, a scheduler no weights.
func (p *packer) register(name, library, class string) (part, error) {
	if !fs.ValidPath(name) || strings.ContainsAny(name, `/\:`) {
		return part{}, errors.New("not the name of a folder")
	}
	c := part{name: name, class: class}
	config, err := p.config(name + "/config.json")
	c.weighted = err == nil
	if errors.Is(err, fs.ErrNotExist) {
		config, err = p.json(name + "/scheduler_config.json")
	}
	switch {
	case err == nil:
		p.man.Components[name] = loader.Component{Library: library, Class: class, Config: config}
	case errors.Is(err, fs.ErrNotExist):
		p.files = append(p.files, name)
		err = nil
	}
	return c, err
}

// needed are the components with weights that are to be packed, in order, with
// their checkpoints. The others are taken out of the manifest.
func (p *packer) needed(parts map[string]part) (list []part, err error) {
	names := slices.Sorted(maps.Keys(parts))
	if p.opts.Needs != nil {
		if names, err = p.opts.Needs(p.man); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if parts[name].weighted && !slices.Contains(names, name) {
			p.report("%s: left out, wisp does not run it", name)
			delete(p.man.Components, name)
		}
	}
	for _, name := range names {
		c := parts[name]
		if !c.weighted {
			if err := p.hasFiles(name); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		if c.weights, err = p.findWeights(name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, c)
	}
	return list, nil
}

// hasFiles fails for a component of which there is nothing, or which is needed
// and has weights without the config that says what they are of.
func (p *packer) hasFiles(name string) error {
	if _, ok := p.man.Components[name]; ok {
		return nil
	}
	files, err := p.in.List(name)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(files, func(f string) bool { return path.Ext(f) == ".safetensors" || path.Ext(f) == ".bin" }); p.opts.Needs != nil && i >= 0 {
		return fmt.Errorf("%s has no config.json beside it: %w", files[i], fs.ErrNotExist)
	}
	if len(files) > 0 {
		return nil
	}
	return fmt.Errorf("it has neither config.json nor scheduler_config.json: %w", fs.ErrNotExist)
}

// surveySingle registers the component whose directory the input is.
func (p *packer) surveySingle() ([]part, error) {
	config, err := p.config("config.json")
	if err != nil {
		return nil, fmt.Errorf("the input has neither model_index.json (a pipeline) nor config.json (a component): %w", err)
	}
	var head struct {
		Class         string   `json:"_class_name"`
		Architectures []string `json:"architectures"`
	}
	if err := json.Unmarshal(config, &head); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	library := "diffusers"
	if head.Class == "" && len(head.Architectures) > 0 {
		library, head.Class = "transformers", head.Architectures[0]
	}
	if head.Class == "" {
		return nil, errors.New("config.json names no class (_class_name or architectures)")
	}
	const name = "model"
	p.man.Components[name] = loader.Component{Library: library, Class: head.Class, Config: config}
	weights, err := p.findWeights("")
	return []part{{name: name, class: head.Class, weights: weights}}, err
}
