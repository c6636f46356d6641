// Package site is the web page, the JavaScript module and the server that
// hands them out. The browser files are embedded, so that a built command
// carries them; models stay on disk. It knows nothing of the engine: the wasm
// is a file it is given. Start at [Handler] and [Build].
package site

import (
	"embed"
	"io/fs"
)

//go:embed *.html *.css *.js *.d.ts *.svg
var files embed.FS

// Files returns the page and everything it loads but the engine (wisp.wasm and
// the scripts beside it, see [Compile]) and the models.
func Files() fs.FS { return files }
