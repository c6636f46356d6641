package site

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Forever is the Cache-Control of what is named by its hash.
const Forever = "public, max-age=31536000, immutable"

// headerFiles returns what [Handler] sends, in the files that common hosts
// read: _headers (Netlify, Cloudflare Pages), vercel.json, .htaccess (Apache),
// and nginx.conf and Caddyfile, which say where to include them. A host that
// reads none of them will do: the service worker adds the headers that count.
func headerFiles(page memory) memory {
	header := http.Header{}
	isolate(header, framed) // what all have; the others more
	names := slices.Sorted(maps.Keys(header))
	return memory{
		"_headers":    netlify(header, names, page),
		"vercel.json": vercel(header, names),
		".htaccess":   apache(header, names),
		"nginx.conf":  nginx(header, names),
		"Caddyfile":   caddy(header, names),
	}
}

// Patterns of the names that [hashed] matches and of the files that have twins.
const (
	hashedNames = `([0-9a-f]{64}\.bin|[^/]+-[0-9a-f]{16}\.(wasm|js|css))`
	twinNames   = `\.(br|zst|gz)`
)

// netlify names every file: where two rules match, one host joins their values
// and the other takes the last.
func netlify(header http.Header, names []string, page memory) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, "# Netlify and Cloudflare Pages read this at the root of a site.")
	fmt.Fprintln(&b, "/*")
	for _, name := range names {
		fmt.Fprintf(&b, "  %s: %s\n", name, header.Get(name))
	}
	for _, name := range slices.Sorted(maps.Keys(page)) {
		if !strings.HasSuffix(name, ".html") || name == framed {
			continue
		}
		for _, path := range []string{name, strings.TrimPrefix(strings.TrimSuffix(name, ".html"), "index")} { // some hosts leave the extension out
			fmt.Fprintf(&b, "/%s\n  Content-Security-Policy: %s\n  X-Frame-Options: DENY\n", path, policy+unframed)
		}
	}
	cache := func(path, value string) { fmt.Fprintf(&b, "%s\n  Cache-Control: %s\n", path, value) }
	cache("/", "no-cache")
	for _, name := range slices.Sorted(maps.Keys(page)) {
		if hashed.MatchString(name) {
			cache("/"+name, Forever)
		} else {
			cache("/"+name, "no-cache")
		}
	}
	cache("/models/*.bin", Forever)
	cache("/models/*.json", "no-cache")
	return b.Bytes()
}

// vercel: the last rule that matches wins.
func vercel(header http.Header, names []string) []byte {
	type pair struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	type rule struct {
		Source  string `json:"source"`
		Headers []pair `json:"headers"`
	}
	all := rule{"/(.*)", []pair{{"Cache-Control", "no-cache"}}}
	for _, name := range names {
		all.Headers = append(all.Headers, pair{name, header.Get(name)})
	}
	kept := []pair{{"Cache-Control", Forever}}
	text, err := json.MarshalIndent(map[string][]rule{"headers": {
		all, {"/((?!.*embed\\.html).*)", []pair{{"Content-Security-Policy", policy + unframed}, {"X-Frame-Options", "DENY"}}},
		{"/(.*)-([0-9a-f]{16})\\.(wasm|js|css)", kept}, {"/(.*)/([0-9a-f]{64})\\.bin", kept},
	}}, "", "  ")
	if err != nil {
		panic(err) // strings only
	}
	return text
}

// apache hands out the twins by rewriting, for mod_negotiation would want every
// file renamed.
func apache(header http.Header, names []string) []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, `# Apache reads this where it lies, if the directory has AllowOverride FileInfo,
# or All; it needs mod_headers, and mod_rewrite to hand out what is compressed.
`)
	for _, ext := range slices.Sorted(maps.Keys(types)) {
		fmt.Fprintf(&b, "AddType %q %s\n", types[ext], ext)
	}
	for _, e := range encodings {
		fmt.Fprintf(&b, "AddEncoding %s %s\nRemoveType %[2]s\nRemoveLanguage %[2]s\n", e.name, e.ext)
	}
	fmt.Fprintln(&b, "<IfModule mod_headers.c>")
	for _, name := range names {
		fmt.Fprintf(&b, "Header set %s %q\n", name, header.Get(name))
	}
	fmt.Fprintf(&b, "<FilesMatch \"^(?!embed\\.html)\">\nHeader set Content-Security-Policy %q\nHeader set X-Frame-Options DENY\n</FilesMatch>\n", policy+unframed)
	fmt.Fprintf(&b, "Header set Cache-Control no-cache\n<FilesMatch \"^%s(%s)?$\">\nHeader set Cache-Control %q\n</FilesMatch>\n", hashedNames, twinNames, Forever)
	fmt.Fprintf(&b, "<FilesMatch %q>\nHeader merge Vary Accept-Encoding\n</FilesMatch>\n", `\.(`+strings.Join(compressible(), "|")+`)(`+twinNames+`)?$`)
	fmt.Fprintln(&b, "<IfModule mod_rewrite.c>\nRewriteEngine On")
	for _, e := range encodings {
		fmt.Fprintf(&b, "RewriteCond %%{HTTP:Accept-Encoding} \"(^|[ ,])%s([ ,]|$|;(?! *q=0(\\.0*)?( |,|$)))\"\nRewriteCond %%{REQUEST_FILENAME}%s -f\nRewriteRule . %%{REQUEST_URI}%[2]s [L]\n", e.name, e.ext)
	}
	fmt.Fprintln(&b, "# What has no twin is too small to gain by one, whatever mod_deflate is told.\nRewriteRule . - [E=no-gzip:1,E=no-brotli:1]\n</IfModule>\n</IfModule>")
	for _, ext := range compressible() {
		fmt.Fprintf(&b, "<FilesMatch \"\\.%s%s$\">\nForceType %q\n</FilesMatch>\n", ext, twinNames, types["."+ext])
	}
	return b.Bytes()
}

// compressible lists the extensions, without dots, of files that have twins.
func compressible() (list []string) {
	for _, ext := range slices.Sorted(maps.Keys(types)) {
		if !packed[ext] {
			list = append(list, ext[1:])
		}
	}
	return list
}

func nginx(header http.Header, names []string) []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, `# nginx: include this in the block that serves this directory, a server's or a
# location's. A block inside that has an add_header of its own loses these.
#
#	location /wisp/ {
#		alias /srv/wisp/;
#		include /srv/wisp/nginx.conf;
#	}

gzip_static on;
gzip_vary on;
# brotli_static on; # with that module (Debian: libnginx-mod-http-brotli-static)

types {
`)
	for _, ext := range slices.Sorted(maps.Keys(types)) {
		fmt.Fprintf(&b, "\t%q %s;\n", types[ext], ext[1:])
	}
	fmt.Fprintf(&b, "}\ndefault_type application/octet-stream;\n\nset $wisp_cache no-cache;\nif ($uri ~ \"/%s$\") {\n\tset $wisp_cache %q;\n}\nadd_header Cache-Control $wisp_cache;\n", hashedNames, Forever)
	fmt.Fprintf(&b, "set $wisp_frames %q;\nset $wisp_framed DENY;\nif ($uri ~ \"/embed\\.html$\") {\n\tset $wisp_frames \"\";\n\tset $wisp_framed \"\";\n}\n", unframed)
	for _, name := range names {
		value := header.Get(name)
		if name == "Content-Security-Policy" {
			value += "$wisp_frames"
		}
		fmt.Fprintf(&b, "add_header %s %q always;\n", name, value)
	}
	fmt.Fprintln(&b, "add_header X-Frame-Options $wisp_framed always; # an empty one is not sent")
	return b.Bytes()
}

func caddy(header http.Header, names []string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Caddy: import this in the block of a site or a handle_path.
#
#	example.org {
#		root * /srv/wisp
#		import /srv/wisp/Caddyfile
#	}

file_server {
	precompressed br zstd gzip
}
@wisp_kept {
	path_regexp /%[1]s$
	file
}
@wisp_asked {
	not path_regexp /%[1]s$
}
@wisp_twins path_regexp \.(%s)$
header @wisp_kept Cache-Control %q
header @wisp_asked Cache-Control no-cache
header @wisp_twins Vary Accept-Encoding
`, hashedNames, strings.Join(compressible(), "|"), Forever)
	for _, ext := range slices.Sorted(maps.Keys(types)) {
		fmt.Fprintf(&b, "@wisp_%s path *%s%s\nheader @wisp_%[1]s Content-Type %[4]q\n", ext[1:], ext, map[bool]string{true: " */", false: ""}[ext == ".html"], types[ext])
	}
	fmt.Fprintf(&b, "@wisp_framed path */embed.html\n@wisp_unframed not path */embed.html\nheader @wisp_framed Content-Security-Policy %q\nheader @wisp_unframed Content-Security-Policy %q\nheader @wisp_unframed X-Frame-Options DENY\nheader {\n", policy, policy+unframed)
	for _, name := range names {
		if name != "Content-Security-Policy" {
			fmt.Fprintf(&b, "\t%s %q\n", name, header.Get(name))
		}
	}
	fmt.Fprintln(&b, "}")
	return b.Bytes()
}
