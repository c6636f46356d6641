// The words that scripts show, in English; those that a page holds are in the page
// itself, which tells them by learn. The other languages have both, and come when
// they are wished for. {name} is filled in.

const en = {
	describe: "Describe a picture",
	cancel: "Cancel",
	live: "Draw while I type",
	seed: "Seed",
	steps: "Steps",
	bestAt: "This model is made for {from}; with another value it draws worse.",
	bestFrom: "This model is made for {from} to {to}; beyond, it draws worse or no better.",
	knows: "This model knows {count} things, by words or emoji, in a few styles and colours.",
	quoted: "“{word}”",
	unknown: "The model does not know {words}.",
	unknownNear: "The model does not know {words}. The nearest that it knows:",
	modelsOwn: "The model's own",
	backend: "Runs on",
	onWebgpu: "the graphics card",
	onSimd: "the processor",
	onCpu: "the slow reference",
	empty: "Say what you would like to see.",
	example: "For example: {text}",
	clearSure: "Delete all pictures but your favourites? They cannot be brought back.",
	remove: "Delete",
	removeSure: "Delete {name}? It came from files, so the page cannot fetch it again.",
	pictureName: "{prompt}, seed {seed}",
	removed: "The picture is deleted.",
	unkept: "This browser takes no pictures now: it may be out of room, or keep nothing. They are here until the page is closed: save what you like.",
	modelCurrent: "in use",
	modelDefault: "The default model",
	modelAbsent: "not kept here",
	modelMemory: "in memory only: this browser keeps nothing",
	modelGone: "The model is deleted. This page draws with it until it is closed.",
	space: "{used} of this browser's storage in use, {free} free.",
	modelKept: "{size} kept here",
	verdict: "Runs here on {backend}. {download} to download, about {memory} of memory and {time} a picture.",
	verdictNot: "Does not run here. {reason}",
	f16: "16 bits, as good as the original",
	q8: "8 bits, hardly a difference",
	q4: "4 bits, small",
	ternary: "2 bits, for the largest",
	offers: "Open models on the hub",
	noCommerce: "not for commercial use",
	gated: "terms to accept first",
	draw: "Draw",
	updateLater: "A picture is being made: update when it is done.",
	programsWait: "Pictures that programs in this browser wait for: {n}.",
	elsewhere: "The address names the model {name}, which is not of this site: it is not loaded. It can be opened under Models.",
	foreign: "This model is on {origin}. The page may not fetch from there until you allow it.",
	badOrigin: "{origin} is not an address that this page can fetch from.",
	photo: "the photo",
	noCamera: "there is no camera that this page can use",
	noCameraAllowed: "the browser does not let this page use the camera: allow it in the address bar",
	loraUnknown: "{name}: {n} of its keys mean nothing in this model: {keys}",
	controlNeeds: "choose a picture for the ControlNet",
	batchMost: "These are {n} pictures: at most {most} go at once.",
	batchAt: "{i} of {n}: {prompt}",
	batchDone: "{n} pictures are drawn.",
	compareAt: "How much shows of the picture before",
	wildcardsLearnt: "Prompts may say {names} now.",
	needsFile: "the workflow begins with {name}: drop that picture together with it, or begin with one here",
	pixels: "{n} pixels",
	offline: "You are offline. Everything that is on this device works.",
	// said as things happen
	loading: "Loading the model",
	downloading: "Downloading the model, once: {loaded} of {total}",
	reading: "Reading the model",
	preparing: "Getting ready",
	words: "Reading the words",
	step: "Step {step} of {steps}",
	finishing: "Finishing the picture",
	drawing: "Drawing",
	ready: "The picture is ready: {prompt}",
	cancelled: "Cancelled",
	saver: "To save data, the model is downloaded when you first press Generate.",
	truncated: "The description is longer than the model can read, so its end was left out.",
	badSeed: "the seed is not a whole number up to 9007199254740991",
	restored: "The settings of {name} are restored.",
	restoredBut: "The settings of {name} are restored, but not what wisp does without: {lost}.",
	otherModel: "the model {name}",
	andMore: "and {n} more",
	theLink: "the link",
	noSettings: "{name} holds no settings of a picture: the next one begins with it.",
	unknownFile: "{name} is neither a picture nor a model nor a workflow.",
	copied: "The picture is copied.",
	linkCopied: "The link is copied. It holds the words and the settings, not the picture.",
	noCopy: "This browser does not let pages copy pictures: save it instead.",
	// the widget
	loadingShare: "Loading the model: {share}",
	needPicture: "Draw a picture.",
	facts: "{width} × {height} · seed {seed} · {steps} steps · {total} on {backend}",
	timings: "words {text}, steps {denoise}, decoding {decode}",
	model: "Model: {name}",
	importFits: "It fits: {free} are free. Drawing takes about {memory} of memory.",
	importTime: "A picture takes about {time} on {backend}.",
	importNoRoom: "There is no room: {free} are free. Delete a model or free some disk space.",
	importing: "Packing. Keep this page open.",
	importCancelled: "Cancelled. Nothing of it was kept.",
	// what leaves this device
	leavesSince: "Counted since {time}, when the browser last started the counter; every tab of this site counts.",
	forbid: "Forbid",
	// how what the engine says begins when something fails, word for word
	failPrompt: "the prompt is empty: say what to draw",
	failEngine: "the engine could not be loaded:",
	failStale: "a file of wisp is gone from its server,",
	failStopped: "the engine stopped: try again",
	failNewer: "there is a new version of this model:",
	failNetwork: "the model could not be downloaded:",
	failAbsent: "the server does not have this model,",
	failAnswer: "the model's server answers with an error:",
	failForeign: "the model could not be downloaded from another site:",
	failNoCard: "the graphics card cannot be used here:",
	failCorrupt: "a part of the model arrived damaged,",
	failQuota: "the browser has no room for the model:",
	failSilent: "another tab of this site keeps the browser's storage busy:",
	failMemory: "there is not enough memory:",
	failLarge: "this model is too large for this device:",
	failDevice: "the graphics card was lost:",
	failLost: "the graphics card was lost and is started again",
	failShort: "the graphics card's memory is short:",
	failCard: "the graphics card failed:",
	failUnsupported: "this browser cannot run the engine:",
	failNothing: "there is no model among the files:",
	failSeveral: "there are several models among the files:",
	failGone: "a file changed or is gone:",
	failPointer: "Git LFS left a pointer in a file's place:",
	failAdd: "a part of the model is missing:",
	failUnknown: "wisp does not know this kind of file",
	failPickle: "pickled checkpoints (.ckpt, .pt, .bin) are programs,",
	failText: "a web page or another text was saved in the file's place:",
	failPart: "this file is no whole model",
	failPipeline: "wisp cannot draw with this model",
	failMissing: "a file of the model is missing",
	failWordless: "prompt: this model draws without words",
	failNoNegative: "negative prompt: this model reads none",
	failIdle: "negative prompt: it counts where guidance is over 1",
	failUnguided: "guidance: this model draws without",
	failBrackets: "prompt syntax: this model's text encoder reads brackets as they stand",
	failChanging: "prompt: words that change between steps,",
	failTurns: "prompt: words that take turns,",
	failAnd: "prompt: AND joins no prompts here,",
	failFormat: "a file of the model is damaged",
	badValues: "name one to eight values for each setting, separated by commas",
};

export const languages = {
	en: { name: "English", direction: "ltr", stop: ".", strings: en },
	de: { name: "Deutsch", direction: "ltr", stop: ".", load: () => import("./de.js") },
	zh: { name: "简体中文", script: "zh-Hans", direction: "ltr", stop: "。", load: () => import("./zh.js") },
};

// named has the texts of a language by their names: they are served in the order of
// the English ones above and then of the page, but for those of another page.
const named = ({ default: [texts, others] }) => ({ ...Object.fromEntries(Object.keys(en).filter((name) => !others[name]).map((name, i) => [name, texts[i]])), ...others });

// arrive resolves once the words of a language are there, or cannot be had:
// then they are English, and the next call tries again.
export async function arrive(tag) {
	const language = languages[tag];
	language.strings ??= await language.load().then(named, () => undefined);
}

// learn takes the English words that a page holds: elements name their text's by
// data-t, and those of attributes by data-t-title and its kin.
export function learn(page) {
	const parts = [page, ...[...page.querySelectorAll("template")].map(({ content }) => content)];
	const each = (selector) => parts.flatMap((part) => [...part.querySelectorAll(selector)]);
	const add = (name, text) => (en[name] ??= text);
	for (const e of each("[data-t]")) add(e.dataset.t, e.textContent);
	for (const a of spoken) for (const e of each(`[data-t-${a}]`)) add(e.getAttribute(`data-t-${a}`), e.getAttribute(a));
}

// spoken are the attributes that hold words.
export const spoken = ["title", "placeholder", "aria-label"];

// known is the first of the wishes, as "de-AT", that is a language here.
export function known(wishes) {
	return wishes.map((wish) => wish?.split("-")[0].toLowerCase()).find((tag) => Object.hasOwn(languages, tag ?? ""));
}

// text is that of a name in a language.
export function text(tag, name, values = {}) {
	return (languages[tag].strings ?? en)[name].replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

// failureOf is the name of the text above that a message of the engine begins with.
export const failureOf = (message) => Object.keys(en).find((n) => n.startsWith("fail") && message.startsWith(en[n]));

// sentence makes what the engine says in English one for people: in their
// language, where it begins as one of the texts above do whose names begin with
// fail; what it tells beyond, in brackets or after a semicolon, stays as it is.
export function sentence(tag, message) {
	const name = languages[tag].strings !== en && failureOf(message);
	const told = name ? text(tag, name) + (/( \(|; ).*$/s.exec(message.slice(en[name].length))?.[0] ?? "") : message;
	const whole = told.charAt(0).toUpperCase() + told.slice(1);
	return /[.)!?。！？）]$/.test(whole) ? whole : whole + languages[tag].stop;
}
