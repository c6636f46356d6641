package sampler

import (
	_ "embed"
	"encoding/json"
	"strings"
	"sync"
)

// Names is the one table of names, as JSON: of each sampler what it is good for in a few words, the paper that it is
// from, as arXiv numbers it, and the file that it is written in; of samplers and schedules the names that other tools
// give them. The page reads it as well. Where a tool's names are from:
//
//	a1111    AUTOMATIC1111/stable-diffusion-webui, modules/sd_samplers_kdiffusion.py, sd_samplers_timesteps.py,
//	         sd_samplers_lcm.py, sd_schedulers.py; Forge has the same
//	comfy    comfyanonymous/ComfyUI, comfy/samplers.py, whose names SwarmUI and Fooocus have, too
//	invoke   invoke-ai/InvokeAI, backend/stable_diffusion/schedulers/schedulers.py, and the older sd_metadata's
//	novelai  the "sampler" and "noise_schedule" that its pictures hold
//	draw     Draw Things' list of samplers, whose names end in the schedule
//
// automatic is the schedule that AUTOMATIC1111 takes where none is chosen, only the one that it always draws with; eta is
// the value that changes nothing, where one does; differs is what a tool does beside the method. A row without a file is
// what other tools have alone.
//
//go:embed names.json
var Names []byte

// Note is what people may want to know of a sampler: see Names.
type Note struct{ Good, Paper, File string }

// named is a row of the table of names.
type named struct {
	Name string
	Note
	A1111, Comfy, Invoke, NovelAI, Draw []string
	Differs                             map[string]string // by the tool
}

var nameTable = sync.OnceValue(func() (t struct{ Samplers, Schedules []named }) {
	if err := json.Unmarshal(Names, &t); err != nil {
		panic(err) // embedded
	}
	return t
})

// About is the note of a sampler's name; every name of the table has one.
func About(name string) Note {
	for _, n := range nameTable().Samplers {
		if n.Name == name {
			return n.Note
		}
	}
	return Note{}
}

// other is a row of the table that a tool's name stands for, with what the tool does beside it.
type other struct{ name, differs string }

// meantBy lists what other tools call so, each tool's in turn.
func meantBy(rows []named, name string) (list []other) {
	for i, tool := range []string{"a1111", "comfy", "invoke", "novelai", "draw"} {
		for _, n := range rows {
			for _, called := range [][]string{n.A1111, n.Comfy, n.Invoke, n.NovelAI, n.Draw}[i] {
				if strings.EqualFold(called, name) {
					list = append(list, other{n.Name, n.Differs[tool]})
				}
			}
		}
	}
	return list
}

// Called are wisp's names of a sampler and a schedule that are called by any tool's names: wisp's own, by name or label,
// and diffusers' classes first, then AUTOMATIC1111's, ComfyUI's and others', also with the schedule after the sampler, as
// in "DPM++ 2M Karras". What is unknown stays as it is, for New and WithSchedule to refuse. differs says what the tool
// that has the name does otherwise; "" for nothing.
func Called(c Config, name, schedule string) (own, plan, differs string) {
	if at := strings.LastIndexByte(name, ' '); at > 0 && schedule == "" {
		if _, err := find(name, c); err != nil {
			if s, ok := scheduleCalled(name[at+1:]); ok {
				name, schedule = name[:at], s
			}
		}
	}
	if s, ok := scheduleCalled(schedule); ok {
		schedule = s
	}
	if name == "" {
		return "", schedule, ""
	}
	r, err := find(name, c)
	if err != nil {
		return name, schedule, ""
	}
	if !r.called(name) {
		for _, o := range meantBy(nameTable().Samplers, name) {
			if o.name == r.Name && o.differs != "" {
				differs = name + " (" + o.differs + ")"
			}
		}
	}
	return r.Name, schedule, differs
}

func scheduleCalled(name string) (string, bool) {
	for _, s := range Schedules {
		if strings.EqualFold(s.Name, name) || strings.EqualFold(s.Label, name) {
			return s.Name, true
		}
	}
	for _, other := range meantBy(nameTable().Schedules, name) {
		for _, s := range Schedules {
			if s.Name == other.name {
				return s.Name, true
			}
		}
	}
	return "", false
}
