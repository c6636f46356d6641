// Package webgpu times the WebGPU backend beside its peers, in one browser, on
// one device: `make bench-webgpu`. The peers are npm packages of the versions
// in package.json, which make installs under build/.
package webgpu
