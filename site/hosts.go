package site

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

const forever = "public, max-age=31536000, immutable"

// headerFiles returns the headers that [Handler] sends in the files that
// common hosts read: _headers (Netlify, Cloudflare Pages), vercel.json,
// .htaccess (Apache) and nginx.conf, to be included in a location. A host that
// reads none of them will do: the service worker adds the headers that count.
func headerFiles() memory {
	header := http.Header{}
	isolate(header)
	names := slices.Sorted(maps.Keys(header))
	var netlify, apache, nginx bytes.Buffer
	type pair struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	type rule struct {
		Source  string `json:"source"`
		Headers []pair `json:"headers"`
	}
	everywhere := rule{Source: "/(.*)"}
	fmt.Fprintln(&netlify, "/*")
	fmt.Fprintln(&apache, "AddType application/wasm .wasm\nAddType text/javascript .js\n<IfModule mod_headers.c>")
	for _, name := range names {
		value := header.Get(name)
		fmt.Fprintf(&netlify, "  %s: %s\n", name, value)
		fmt.Fprintf(&apache, "Header set %s %q\n", name, value)
		fmt.Fprintf(&nginx, "add_header %s %q always;\n", name, value)
		everywhere.Headers = append(everywhere.Headers, pair{name, value})
	}
	for _, path := range []string{"/models/*.bin", "/*.wasm"} {
		fmt.Fprintf(&netlify, "%s\n  Cache-Control: %s\n", path, forever)
	}
	fmt.Fprintf(&apache, "<FilesMatch \"^([0-9a-f]{64}\\.bin|.+-[0-9a-f]{16}\\.(wasm|js|css))$\">\nHeader set Cache-Control %q\n</FilesMatch>\n</IfModule>\n", forever)
	fmt.Fprintln(&nginx, "gzip_static on; # and brotli_static on, where the module is there")
	vercel, err := json.MarshalIndent(map[string][]rule{"headers": {
		everywhere,
		{Source: "/(.*)-([0-9a-f]{16}).(wasm|js|css)", Headers: []pair{{"Cache-Control", forever}}},
		{Source: "/models/(.*).bin", Headers: []pair{{"Cache-Control", forever}}},
	}}, "", "  ")
	if err != nil {
		panic(err) // strings only
	}
	return memory{"_headers": netlify.Bytes(), "vercel.json": vercel, ".htaccess": apache.Bytes(), "nginx.conf": nginx.Bytes()}
}
