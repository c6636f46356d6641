export default {
	esbuild: { jsx: "automatic" },
	optimizeDeps: { exclude: ["wisp-generator"] }, // it names its files by its own address
};
