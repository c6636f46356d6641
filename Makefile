# The two a newcomer needs: `make serve` and `make test`.

BROWSER ?= chromium
PKG ?= ./...

.PHONY: test-browser parity

# The Go tests of one package in a browser:
#   make test-browser PKG=./engine/simd BROWSER=firefox ARGS='-run Conv -v'
test-browser: build/browser-run
	GOOS=js GOARCH=wasm go test -exec "$(CURDIR)/build/browser-run -browser $(BROWSER) $(RUNNER)" $(ARGS) $(PKG)

build/browser-run: $(wildcard tests/browser/*.go tests/browser/run/*)
	go build -o $@ ./tests/browser/run

# Every network and pipeline against torch, diffusers and transformers: the
# largest error, its scale, the cosine; PSNR for pictures.
parity:
	@mkdir -p build
	@go test ./tests -count=1 -v -run 'TestNetworks|Pipelines|TestDefault' > build/parity.txt; status=$$?; \
	sed -n 's/.*parity: //p; /^ *--- FAIL/p; /^FAIL/p' build/parity.txt; exit $$status
