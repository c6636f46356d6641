# The two a newcomer needs: `make serve` and `make test`.

BROWSER ?= chromium
PKG ?= ./...

.PHONY: test-browser

# The Go tests of one package in a browser:
#   make test-browser PKG=./engine/simd BROWSER=firefox ARGS='-run Conv -v'
test-browser: build/browser-run
	GOOS=js GOARCH=wasm go test -exec "$(CURDIR)/build/browser-run -browser $(BROWSER) $(RUNNER)" $(ARGS) $(PKG)

build/browser-run: $(wildcard tests/browser/*.go tests/browser/run/*)
	go build -o $@ ./tests/browser/run
