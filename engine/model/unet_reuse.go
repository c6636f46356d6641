package model

import "wisp/engine"

// WithDeep makes what comes out of the deep part of a [UNet2DCondition] an output, "deep": what the way up is at when it
// joins the skip of that number, 0 for conv_in's. FromDeep takes it as an input of the same name and leaves out all that
// made it: of the way down, what follows that skip; the middle; of the way up, what comes before. One step's deep part
// serves the next steps, too: Ma, Fang & Wang 2023, "DeepCache", whose cache_branch_id the branch is where blocks have
// two layers. A branch is from 0 to [UNetFacts].Branches-1.
func WithDeep(branch int) UNetOption {
	return func(u *unet) { u.reuse = reuse{on: true, branch: branch} }
}

// FromDeep is described at [WithDeep].
func FromDeep(branch int) UNetOption {
	return func(u *unet) { u.reuse = reuse{on: true, takes: true, branch: branch} }
}

// reuse is where a UNet is cut into its shallow and its deep part.
type reuse struct {
	on, takes bool
	branch    int // the last skip of the shallow part
	left      int // skips that the way up has yet to join
}

// skips is how many the way down leaves.
func (c unetConfig) skips() int {
	n := len(c.Channels) // conv_in's and those of the downsamplers
	for i := range c.Channels {
		n += c.Layers.at(i)
	}
	return n
}

// enough tells that the way down has reached the cut.
func (u *unet) enough() bool { return u.reuse.takes && len(u.skips) > u.reuse.branch }

// before tells that the way up has not.
func (u *unet) before() bool { return u.reuse.takes && u.reuse.left > u.reuse.branch }

// enter is called before each layer of the way up, with what it gets; at the cut it is kept or replaced.
func (u *unet) enter(x *engine.Node, level, layer int) *engine.Node {
	u.reuse.left--
	if !u.reuse.on || u.reuse.left != u.reuse.branch {
		return x
	}
	if !u.reuse.takes {
		u.g.Output(Deep, x)
		return x
	}
	if layer == 0 && level < len(u.c.Channels)-1 {
		level++ // as wide as the block before made it
	}
	skip := u.skips[len(u.skips)-1].Shape
	return u.g.Input(Deep, engine.F32, skip[0], skip[1], skip[2], u.c.Channels[level])
}

// Deep is the name of a UNet's deep part, as an output and as an input: see [WithDeep].
const Deep = "deep"
