// The page's language: which one it is, and its texts.
import { recall } from "./memory.js";
import { arrive, failureOf, known, languages, learn, sentence as sentenceIn, spoken, text } from "./strings.js";

let current = "en";
learn(document);

export const language = () => current;

// t is the text of that name in the page's language.
export const t = (name, values) => text(current, name, values);

// sentence is a message of the engine in the page's language.
export const sentence = (message) => sentenceIn(current, message);

// translated tells whether there are words for it.
export const translated = (message) => failureOf(message) !== undefined;

// chooseLanguage takes the visitor's wish: from the address, from an earlier
// visit, from the browser.
export function chooseLanguage() {
	return setLanguage(known([new URLSearchParams(location.search).get("lang"), recall("language"), ...navigator.languages]) ?? "en");
}

// setLanguage puts the words of a language, once they are there, into everything
// that names one: data-t for the text, data-t-title, -placeholder and -aria-label
// for attributes.
export async function setLanguage(tag) {
	current = tag;
	await arrive(tag);
	if (current !== tag) return; // another one was wished for meanwhile
	document.documentElement.lang = languages[tag].script ?? tag;
	document.documentElement.dir = languages[tag].direction;
	translate(document);
}

// translate puts the language's words into a part of the page.
export function translate(part) {
	for (const element of part.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
	for (const attribute of spoken) {
		for (const element of part.querySelectorAll(`[data-t-${attribute}]`)) {
			element.setAttribute(attribute, t(element.getAttribute(`data-t-${attribute}`)));
		}
	}
}
