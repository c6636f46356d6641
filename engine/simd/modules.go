package simd

// name is a flavour's of a browser.
func (fl flavour) name() string {
	name := "baseline"
	if fl.relaxed {
		name = "relaxed"
	}
	if fl.shared {
		name += "_shared"
	}
	return name
}

// Modules emits the modules that browsers run, by name, and "probe", which only
// those with relaxed SIMD take. A program that embeds them goes without what
// emits them.
func Modules() map[string][]byte {
	modules := map[string][]byte{"probe": relaxedProbe()}
	for _, fl := range []flavour{relaxedTile, baselineTile} {
		for _, fl.shared = range []bool{false, true} {
			modules[fl.name()] = emitModule(fl)
		}
	}
	return modules
}
