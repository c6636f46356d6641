// ESLint's own recommendations for the page's scripts: make lint-js.
import js from "@eslint/js";
import globals from "globals";

const given = (...names) => Object.fromEntries(names.map((name) => [name, "readonly"]));

export default [
	js.configs.recommended,
	{
		languageOptions: { globals: { ...globals.browser, ...globals.worker } },
		rules: {
			"no-misleading-character-class": "off", // words.js means the parts of emoji
			"no-control-regex": "off", // other programs' texts hold them
			"no-unused-vars": ["error", { ignoreRestSiblings: true }],
		},
	},
	// what site.go writes before these two, and what Go's programs leave behind
	{ files: ["**/boot.js", "**/sw.js"], languageOptions: { globals: given("build", "whole") } },
	{ files: ["**/worker.js"], languageOptions: { globals: given("Go", "wispEngine", "wispPack") } },
	{ files: ["**/test/*.js"], languageOptions: { globals: globals.node } },
];
