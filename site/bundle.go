package site

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// bundles lists, by the script or style that is served, those that are served within it:
// together they compress better and are one request. limits.js is in several, where
// its numbers take the place of their names.
var bundles = map[string][]string{
	"app.js":     {"controls.js", "draw.js", "drop.js", "follow.js", "form.js", "grid.js", "hints.js", "history.js", "import.js", "limits.js", "loading.js", "models.js", "offline.js", "past.js", "picture.js", "queue.js", "report.js", "serving.js", "session.js", "tools.js", "words.js", "zip.js"},
	"compat.js":  {"a1111.js", "comfy.js", "exif.js", "fields.js", "img2img.js", "json.js", "limits.js", "link.js", "lora.js", "metadata.js", "names.js", "nodes.js", "parameters.js", "said.js", "sdapi.js", "wildcards.js"},
	"lab.js":     {}, // whose imports may be served within others, too
	"png.js":     {"limits.js", "photo.js", "refusal.js", "size.js"},
	"privacy.js": {"offline.js"}, // of which it takes a few lines
	"style.css":  {"base.css", "composer.css", "dialogs.css", "easel.css", "kept.css"},
	"ui.js":      {"language.js", "memory.js"},
	"studio.js":  {"batch.js", "brush.js", "camera.js", "compare.js", "control.js", "editor.js", "enlarge.js", "limits.js", "loras.js", "parts.js", "profile.js", "shelf.js", "start.js"},
	"wisp.js":    {"bytes.js", "engine.js", "error.js", "generator.js", "packer.js", "program.js", "sent.js", "shared.js", "source.js", "version.js"},
}

// within names the script that a script is served in: another, or itself.
func within(name string) string {
	for whole, parts := range bundles {
		if slices.Contains(parts, name) {
			return whole
		}
	}
	return name
}

// loaders says how scripts and styles are read.
var loaders = map[string]api.Loader{".js": api.LoaderJS, ".css": api.LoaderCSS}

// bundle is a script or a style with its parts in it, minified. What it imports besides stays
// an import.
func bundle(name string, files memory) ([]byte, error) {
	parts := bundles[name]
	outside := imported(append([]string{name}, parts...), files)
	o := minify()
	r := api.Build(api.BuildOptions{
		EntryPoints: []string{name}, Bundle: true, Format: api.FormatESModule, Write: false, Outdir: "/",
		Target: o.Target, Charset: o.Charset, LogLevel: o.LogLevel,
		MinifyWhitespace: true, MinifySyntax: true, MinifyIdentifiers: true,
		Plugins: []api.Plugin{{Name: "embedded", Setup: func(b api.PluginBuild) {
			b.OnResolve(api.OnResolveOptions{Filter: ".*"}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
				base := path.Base(a.Path)
				if base == name || slices.Contains(parts, base) {
					return api.OnResolveResult{Path: base, Namespace: "embedded"}, nil
				}
				if to := within(base); a.Namespace == "embedded" && a.Kind == api.ResolveJSImportStatement && outside[to] != nil {
					return api.OnResolveResult{Path: to, Namespace: "outside"}, nil
				}
				return api.OnResolveResult{Path: "./" + within(base), External: true}, nil
			})
			b.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "outside"}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
				text := fmt.Sprintf("export { %s } from \"./%s\";", strings.Join(slices.Sorted(maps.Keys(outside[a.Path])), ", "), a.Path)
				return api.OnLoadResult{Contents: &text, Loader: api.LoaderJS}, nil
			})
			b.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "embedded"}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
				text := string(files[a.Path])
				return api.OnLoadResult{Contents: &text, Loader: loaders[path.Ext(a.Path)]}, nil
			})
		}}},
	})
	if len(r.Errors) > 0 {
		return nil, fmt.Errorf("site: %s: %s", name, r.Errors[0].Text)
	}
	return r.OutputFiles[0].Contents, nil
}

// Imports by name, and of all that a script exports.
var (
	byName = regexp.MustCompile(`import \{ ([^}]*) \} from "\./([\w.-]+)";`)
	whole  = regexp.MustCompile(`(?:import|export) \* (?:as \w+ )?from "\./([\w.-]+)";`)
)

// imported lists what the parts of a bundle import by name of each script beside
// it, so that the bundle says it once and not once a part.
func imported(parts []string, files memory) map[string]map[string]bool {
	names := map[string]map[string]bool{}
	for _, part := range parts {
		for _, m := range byName.FindAllSubmatch(files[part], -1) {
			if slices.Contains(parts, string(m[2])) {
				continue
			}
			to := within(string(m[2]))
			if names[to] == nil {
				names[to] = map[string]bool{}
			}
			for name := range strings.SplitSeq(string(m[1]), ", ") {
				name, _, _ = strings.Cut(name, " as ")
				names[to][name] = true
			}
		}
	}
	for _, part := range parts {
		for _, m := range whole.FindAllSubmatch(files[part], -1) {
			delete(names, within(string(m[1])))
		}
	}
	return names
}
