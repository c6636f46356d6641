# The two a newcomer needs: `make serve` and `make test`. Go is enough to serve;
# the tests install the browsers they drive. Variables are explained beside
# their targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: serve build size upscaler setup check lint lint-js unit attack attack-small test test-browser test-page test-hosts test-train test-faults test-vite test-clients audit soak bench bench-webgpu bench-simd parity fuzz gen

# ADDR=:9000 serves elsewhere, MODEL=DIR serves another model.
ADDR ?= :8080
serve:
	@echo "compiling the server; the first time takes a while"
	go run . serve -addr $(ADDR) $(if $(MODEL),-model $(MODEL))

# A directory for any static host, and the package for npm, build/*.tgz, where
# npm is there. BROTLI=9 saves half a minute, and makes the engine an eighth
# larger.
BROTLI ?= 11
build:
	go run . build -out dist -npm build/package -brotli $(BROTLI)
	@if command -v npm >/dev/null; then npm pack --silent --pack-destination build ./build/package; \
		else echo "no npm: build/package is not packed"; fi

# What a visitor downloads, in bytes.
size: build
	@cd dist && printf '%-28s %10s %10s %10s\n' file raw gzip brotli && for f in *.html *.css *.js *.wasm; do \
		printf '%-28s %10d %10d %10d\n' "$$f" "$$(wc -c <"$$f")" "$$(wc -c <"$$f.gz")" "$$(wc -c <"$$f.br")"; done; \
	for m in models/*/; do printf '%-28s %10d\n' "$$m" "$$(cat "$$m"* | wc -c)"; done

# The upscaler's network that npm ships (MIT) draws the picture that its makers drew.
upscaler:
	mkdir -p build/upscaler && cd build/upscaler && npm pack -s @upscalerjs/default-model@1.0.0-beta.17 >/dev/null && tar xzf *.tgz
	UPSCALER=$(CURDIR)/build/upscaler/package go test -tags upscaler -run TestRealUpscaler -v ./tests

# Everything but test-faults, in the order of what fails soonest.
test: setup check lint unit test-browser test-page attack-small

# The browsers, where they are missing and may be installed.
setup:
	@tests/setup.sh

# What needs no browser: format, vet for every build, go.mod, the page's scripts
# and, by Node, the tests of those that are pure.
check:
	@mkdir -p build
	@test -z "$$(gofmt -l .)" || { echo "not gofmt'd:"; gofmt -l .; exit 1; }
	go vet -tags browser,audit,soak,vite,attack,clients,full ./...
	GOOS=js GOARCH=wasm go vet ./...
	go mod tidy -diff
	@for f in site/*.js site/*/*.js tests/browser/run/*.js; do \
		if command -v node >/dev/null; then node --check --input-type=module <"$$f"; fi; done
	@if command -v node >/dev/null; then node --test site/compat/test/*.test.js >build/compat.txt || { grep -A 12 '^not ok' build/compat.txt; exit 1; }; fi

# What gofmt and vet do not see. Go fetches staticcheck; npm fetches ESLint, so
# that lint-js is no part of test.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
lint:
	printf 'host: -tags=browser,audit,soak,vite,clients\njs: GOOS=js GOARCH=wasm\n' | go run $(STATICCHECK) -matrix ./...

lint-js:
	@mkdir -p build/lint && cp tests/lint/* build/lint/ && cd build/lint && npm install --silent --no-audit --no-fund
	rm -rf build/lint/site && cp -r site build/lint/site && cd build/lint && npx eslint site

# No browser, network or GPU.
unit:
	go test ./...

# Go tests inside browsers:
#   make test-browser PKG=./engine/simd BROWSER=firefox ARGS='-run Conv -v'
# RUNNER is the half of the WebGPU backend that is JavaScript; WebKitGTK has no
# WebGPU.
PKG ?= ./engine/simd ./loader ./loader/decode ./webgpu ./tests
BROWSER ?= chromium firefox webkit
RUNNER ?= -prelude webgpu/replay.js
test-browser: build/browser-run
	for b in $(BROWSER); do echo "== $$b"; pkg="$(PKG)"; [ $$b != webkit ] || pkg="$(filter-out ./webgpu ./tests,$(PKG))"; [ -z "$$pkg" ] || \
		GOOS=js GOARCH=wasm go test -vet=off -count=1 -p 1 -timeout 30m -exec "$(CURDIR)/build/browser-run -browser $$b $(RUNNER)" $(ARGS) $$pkg; done

build/browser-run: $(wildcard tests/browser/*.go tests/browser/run/*)
	go build -o $@ ./tests/browser/run

# The page and its module in all browsers: make test-page ARGS='-run BadModel -v'.
# WISP_MODEL=DIR tests another packed model, WISP_EXPORT=DIR holds the directory
# that the default model was packed from to the same goldens.
# Those of SLOW wait for stalled servers or move large files: test-faults has them.
SLOW := Test(EverythingFailsOnce|NetworkDoesNotAnswer|PageArrives|OwnFilesFail|OwnFilesAreGone|ImportLarge|EngineDies|Killed|Clocks|StagedFaults)
test-page:
	go test -tags browser -count=1 -parallel 2 -timeout 50m $(if $(ARGS),$(ARGS),-skip '^$(SLOW)$$') ./tests/browser

# What build writes, on nginx, Apache and Caddy; part of test-page.
test-hosts:
	@$(MAKE) -s test-page ARGS='-run TestHosts -v'

# Wisp beside its peers, a row a figure: a visit in headless Chromium, best of
# three, beside the bounds that it must keep; a model's way into memory; what
# samplers take of a picture's time; then the two backends. JSON=1 prints an
# object a line. A ratio over 1 is in wisp's favour. About half an hour on two
# cores, 20 minutes of it bench-simd, 5 bench-webgpu; npm fetches the peers once.
bench:
	@mkdir -p build; go test -tags browser -run '^$$' -bench Page -benchtime 1x -timeout 8m ./tests/browser > build/bench.txt || { cat build/bench.txt; exit 1; }
	@awk -v json='$(JSON)' 'BEGIN { bound["cold-ready"] = 4; bound["warm-ready"] = 1; bound["picture-1-thread"] = 1.5; bound["picture"] = 0.15; \
			if (!json) printf "%-36s %10s %10s %10s  %-22s %6s\n", "case", "unit", "wisp", "peer", "", "ratio" } \
		/^BenchmarkPage/ { for (i = 3; i < NF; i += 2) if (split($$(i+1), u, "/") == 2 && u[2] in bound) { \
			b = bound[u[2]]; f = json ? "{\"case\":\"%s\",\"unit\":\"%s\",\"wisp\":%.3f,\"peer\":%g,\"peer_name\":\"bound\",\"ratio\":%.2f}\n" \
				: "%-36s %10s %10.3f %10g  bound                  %6.2f\n"; printf f, u[2], u[1], $$i, b, b / $$i; n++ } } \
		END { exit n != 4 }' build/bench.txt
	@go run -tags browser ./tests/bench/loader $(if $(JSON),-json)
	@go run ./tests/bench/solvers $(if $(JSON),-json)
	@$(MAKE) -s bench-simd
	@$(MAKE) -s bench-webgpu

# WebGPU: what large networks take by count and, on three published cards, at
# least; then layers and a UNet step beside onnxruntime-web and tfjs, all on
# Chromium's software adapter. The peers are installed under build/ by npm.
# JSON=1 prints the measured rows, an object a line. About five minutes;
# ARGS='-run Peers/matmul' for one case.
PEERS := build/peers/webgpu
bench-webgpu: build/browser-run $(PEERS)/node_modules
	@$(if $(JSON),,go test ./tests -count=1 -v -run TestCost | sed -n 's/.*cost: //p')
	@GOOS=js GOARCH=wasm go test -count=1 -timeout 20m -v $(ARGS) -exec "$(CURDIR)/build/browser-run $(RUNNER),tests/bench/webgpu/peer.js" ./tests/bench/webgpu > build/bench-webgpu.txt || { cat build/bench-webgpu.txt; exit 1; }
	@sed -n 's/^bench: //p' build/bench-webgpu.txt $(if $(JSON),,| tr -d '{}"' | awk -F '[:,]' '{ printf "%-36s %10s %10.2f %10.2f  %-22s %6.2f\n", $$2, $$4, $$6, $$8, $$10, $$12 }')

# The WebGPU backend on this machine's graphics card, outside a browser, by Node
# with Dawn: op table, networks, pictures, then layers and networks beside the
# card's own peaks. ARGS='./webgpu -test.run Conv' for a part. gpu-kit packs the
# same for a machine without Go, npm or a network: build/wisp-gpu.tar, some 45 MB;
# there: tar xf wisp-gpu.tar && bash gpu-kit/run.sh
.PHONY: gpu gpu-kit
gpu:
	tests/gpu/kit.sh build/gpu-kit
	bash build/gpu-kit/run.sh $(ARGS)

gpu-kit:
	tests/gpu/kit.sh build/gpu-kit
	tar -C build --exclude work -cf build/wisp-gpu.tar gpu-kit && ls -l build/wisp-gpu.tar

$(PEERS)/node_modules: tests/bench/webgpu/package-lock.json
	mkdir -p $(PEERS) && cp tests/bench/webgpu/package*.json $(PEERS)/
	npm ci --prefix $(PEERS) --ignore-scripts --no-audit --no-fund >&2 && touch $@ || \
		{ echo "npm could not install the peers of tests/bench/webgpu/package.json in $(PEERS)" >&2; exit 1; }

# The SIMD backend's products as shares of the ceiling, without the copies of
# operands and results; then, with them, beside onnxruntime-web, tfjs and native
# PyTorch, in turn; about 20 minutes: make bench-simd ARGS='-run conv -peers onnxruntime-web'.
# PYTHON may have torch.
bench-simd: build/browser-run
	@GOOS=js GOARCH=wasm go test -run '^$$' -bench 'Ops/relaxed_1(_int8)?$$/linear/(4096|77)' -exec "$(CURDIR)/build/browser-run $(RUNNER)" ./engine/simd > build/bench-simd.txt || { cat build/bench-simd.txt; exit 1; }
	@awk -v json='$(JSON)' '/^BenchmarkOps/ { split($$1, name, "/"); for (i = 3; i < NF; i += 2) v[$$(i+1)] = $$i; \
		f = json ? "{\"case\":\"%s\",\"unit\":\"GFLOP/s\",\"wisp\":%.2f,\"peer\":%.2f,\"peer_name\":\"matmul tile in cache\",\"ratio\":%.3f}\n" \
			: "%-36s    GFLOP/s %10.2f %10.2f  matmul tile in cache   %6.2f\n"; \
		printf f, name[3] "/" name[4] ", " name[2], v["GFLOP/s"], v["GFLOP/s"] / v["%peak"] * 100, v["%peak"] / 100 }' build/bench-simd.txt
	@mkdir -p build/peers/simd; go run ./tests/bench/simd -python $(PYTHON) $(if $(JSON),-json) $(ARGS)

# The loader and the page against a failing server, a full disk, other tabs and
# the death of the browser or the engine, in both browsers: about ten minutes.
test-faults:
	go test -tags browser -count=1 -timeout 20m $(ARGS) ./tests/faults
	go test -tags browser -count=1 -timeout 20m $(if $(ARGS),$(ARGS),-run '^$(SLOW)$$') ./tests/browser

# The page under axe-core and Lighthouse, which npm fetches once: about six
# minutes.
AUDITORS = axe-core@4.10.3 lighthouse@12.8.2
audit:
	@test -d build/npm/node_modules/lighthouse || npm install --prefix build/npm --no-save --no-audit --no-fund $(AUDITORS)
	CHROME_PATH="$${WISP_CHROMIUM:-$$(command -v chromium || command -v google-chrome)}" \
		go test -tags browser,audit -count=1 -timeout 20m -v -run 'TestAxe|TestLighthouse' $(ARGS) ./tests/browser

# All that strangers and accidents do to wisp, a row a case: how many were tried
# and held, what a normal client waited meanwhile, memory and descriptors before
# and after. JSON=1 prints an object a line, SEED=N repeats a run, ONLY=HTTP2 runs
# the tests of that name. Some twenty minutes on two idle cores; attack-small, a
# part of test, two.
attack:
	@$(if $(SEED),WISP_SEED=$(SEED)) go run ./tests/attack $(if $(JSON),-json) $(if $(ONLY),-only $(ONLY))

attack-small:
	@$(if $(SEED),WISP_SEED=$(SEED)) go run ./tests/attack -small

# Clients of AUTOMATIC1111's API as npm has them, against a page in Chromium.
test-clients:
	mkdir -p build/clients && cp tests/clients/* build/clients/
	cd build/clients && npm install --no-audit --no-fund
	go test -tags browser,clients -count=1 -timeout 5m -v -run TestClients ./tests/browser

# The npm package, packed and installed, its types checked, bundled by Vite in
# the React example, and tried in Chromium. npm fetches what that takes once.
test-vite: BROTLI = 4
test-vite: build
	mkdir -p build/vite && cp -r site/examples/react/. build/vite/
	cp tests/browser/testdata/types.ts tests/browser/testdata/react.tsx build/vite/
	cd build/vite && npm install --no-save --no-audit --no-fund --install-links ../wisp-generator-*.tgz typescript@5.9 @types/react@19 && \
		npx tsc --noEmit --strict --target es2022 --module esnext --moduleResolution bundler --lib es2022,dom,dom.iterable --jsx react-jsx types.ts react.tsx && npm run build
	go test -tags browser,vite -count=1 -timeout 5m -v -run TestVite ./tests/browser

# Models of published sizes, with weights from seeds, in Chromium on two threads:
# their time, memory and pictures, beside torch's, and blocks of FLUX.2-klein.
# Half an hour and 7 GB of build/full at the first time; the machine should do
# nothing else. ARGS='-run TestFullSize/lcm' for one.
.PHONY: full
full: build/browser-run
	go test -tags browser,full -count=1 -timeout 60m -v $(if $(ARGS),$(ARGS),-run TestFullSize) ./tests/browser
	$(if $(ARGS),,GOOS=js GOARCH=wasm go test -tags full -vet=off -count=1 -timeout 20m -exec "$(CURDIR)/build/browser-run -browser chromium $(RUNNER)" -run TestBlocks -v ./tests/golden/full)

# A thousand pictures in one tab, and the memory that they take: about ten
# minutes, on Linux.
soak:
	go test -tags browser,soak -count=1 -timeout 30m -v -run TestThousandPictures $(ARGS) ./tests/browser

# Every network and pipeline against torch, diffusers and transformers, on the
# processor, natively and in both browsers, on WebGPU in Chromium, and with
# packed weights: the largest error over the largest value, or a picture's dB;
# packed networks' signal over the error. About ten minutes on two idle cores,
# of which each part's end tells its share; the table comes last, whatever
# failed. BROWSER= leaves the browsers out. JSON=1 prints an object a cell.
PARITY := Networks|TAEF2|Pipelines|Default|Modes|Adapters|Guid|Tiles
PARITY_WEBGPU := ^Test(Networks|Pipelines|DefaultModel|StableDiffusion)WebGPU$$|BeyondHalf
parity: build/browser-run
	@mkdir -p build; status=0; \
	part() { echo "$$1: $$((SECONDS / 60)) min $$((SECONDS % 60)) s" >&2; SECONDS=0; }; SECONDS=0; \
	go test ./tests -count=1 -v -timeout 60m -run '$(PARITY)' > build/parity.txt || status=$$?; part native; \
	for b in $(filter-out webkit,$(BROWSER)); do \
		tests='Networks$$|Pipelines$$'; [ $$b != chromium ] || tests="$$tests|$(PARITY_WEBGPU)"; \
		GOOS=js GOARCH=wasm go test ./tests -vet=off -count=1 -v -timeout 60m -exec "$(CURDIR)/build/browser-run -browser $$b $(RUNNER)" \
			-everywhere -run "$$tests" > build/parity-$$b.txt || status=$$?; part $$b; \
		sed "s/parity: /parity: $$b /" build/parity-$$b.txt >> build/parity.txt; done; \
	go run ./tests/parity $(if $(JSON),-json) build/parity.txt || status=$$?; sed -n '/^ *--- FAIL/p; /^FAIL/p' build/parity.txt; exit $$status

# Each fuzz test for FUZZTIME, other tools' pictures damaged from a SEED, and
# kernels of WebGPU on shapes of that seed, which a failure names. The effort at making an input smaller is bounded,
# for by default it may outlast the test, which then fails without a finding.
FUZZTIME ?= 10s
fuzz:
	for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
		go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x $$p; done; done
	seed=$${SEED:-$$RANDOM}; SEED=$$seed ROUNDS=3000 node --test site/compat/test/hostile.test.js; \
	$(MAKE) -s test-browser PKG=./webgpu BROWSER=chromium ARGS="-run TestShapes -seed $$seed -shapes 200"

# The training code, every script, on ten made-up pictures: five minutes of a core.
# PYTHON has train/requirements.txt; DEVICE=cuda tries a GPU.
test-train:
	$(PYTHON) train/check.py $(if $(DEVICE),--device $(DEVICE))

# The default model from EXPORT=DIR, the diffusers directory that train/ makes,
# then what depends on it: the pictures that diffusers draws, the screenshots.
# PYTHON needs torch, diffusers and transformers.
PYTHON ?= python3
gen:
	@test -n "$(EXPORT)" || { echo "name the directory: make gen EXPORT=DIR"; exit 1; }
	cp train/model-card.md "$(EXPORT)/"
	go run . pack -in "$(EXPORT)" -out site/models/default -quant q8
	$(PYTHON) tests/golden/pipeline/make.py "$(EXPORT)" tests/golden/pipeline/default
	go test -tags browser -count=1 -run TestScreenshots ./tests/browser -update
