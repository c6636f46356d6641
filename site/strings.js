// Every word that the page shows, in each of its languages. index.html holds
// the English ones, too, so that the page can be read before this loads; a test
// keeps the two alike. {name} is filled in.

const en = {
	tagline: "Pictures from words, made on your own device.",
	describe: "Describe a picture",
	style: "Style",
	anyStyle: "Any",
	generate: "Generate",
	cancel: "Cancel",
	tryThese: "Try",
	live: "Draw while I type",
	settings: "Settings",
	negative: "Leave out",
	negativeHelp: "What the picture should not show.",
	seed: "Seed",
	seedRandom: "random",
	seedHelp: "The same words, settings and seed give the same picture.",
	roll: "Roll a new seed",
	keep: "Keep this seed",
	steps: "Steps",
	stepsHelp: "More steps take longer and settle the details.",
	guidance: "Guidance",
	guidanceHelp: "How closely the picture follows the words.",
	sampler: "Sampler",
	schedule: "Schedule",
	modelsOwn: "The model's own",
	size: "Size",
	width: "Width",
	height: "Height",
	count: "Pictures at once",
	backend: "Runs on",
	backendAuto: "Whatever is best here",
	backendWebgpu: "Graphics card (WebGPU)",
	backendSimd: "Processor (WebAssembly SIMD)",
	backendCpu: "Processor, slow reference",
	compare: "Compare two settings…",
	reset: "Back to the model's settings",
	empty: "Your picture appears here.",
	another: "Another",
	variations: "Four variations",
	save: "Save",
	copy: "Copy",
	share: "Share",
	link: "Copy link",
	favourite: "Favourite",
	history: "Your pictures",
	search: "Search your pictures",
	onlyFavourites: "Favourites only",
	exportAll: "Save all as ZIP",
	clear: "Delete all but favourites",
	clearSure: "Really delete them?",
	more: "Show more",
	remove: "Delete",
	noneFound: "No picture matches.",
	models: "Models",
	modelsIntro: "A model is downloaded once and kept by this browser until you delete it here.",
	modelCurrent: "in use",
	use: "Use",
	modelAddress: "Address of a model",
	check: "Check",
	openFiles: "Open a model's folder…",
	card: "About this model",
	modelKept: "{size} MB kept here",
	modelPart: "{have} of {size} MB kept here",
	verdict: "Runs here on {backend}. {download} MB to download, about {memory} MB of memory.",
	verdictNot: "Does not run here: {reason}.",
	close: "Close",
	compareTitle: "Compare two settings",
	across: "Across",
	down: "Down",
	values: "Values, separated by commas",
	drawGrid: "Draw",
	saveGrid: "Save as one picture",
	private: "Private.",
	privacy: "The model runs inside this page. It is downloaded once and kept by your browser; your words and pictures never leave this device.",
	privacyMore: "See for yourself",
	language: "Language",
	newVersion: "A new version of this page is ready.",
	update: "Update",
	updateLater: "A picture is being made: update when it is done.",
	foreign: "This model is on {origin}. The page may not fetch from there until you allow it.",
	allow: "Allow and reload",
	offline: "You are offline. Everything that is on this device works.",
	// said as things happen
	loading: "Loading the model",
	downloading: "Downloading the model, once: {loaded} of {total} MB",
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
	badSeed: "the seed is not a whole number of at most 15 digits",
	restored: "The settings of {name} are restored.",
	noSettings: "{name} holds no settings of a picture.",
	unknownFile: "{name} is neither a picture nor a model nor a workflow.",
	copied: "The picture is copied.",
	linkCopied: "The link is copied. It holds the words and the settings, not the picture.",
	noCopy: "This browser does not let pages copy pictures: save it instead.",
	facts: "{width} × {height} · seed {seed} · {steps} steps · {total} on {backend}: words {text}, steps {denoise}, decoding {decode}",
	model: "Model: {name}",
	// what leaves this device
	leavesTitle: "What leaves this device",
	leavesNothing: "Your words and pictures: never.",
	leavesHow: "wisp is a program inside this page. It asks its own site for the files of the page and of the model, keeps them in this browser, and from then on asks for nothing. There are no cookies, no counters and nobody else's code.",
	leavesPolicy: "The page's content security policy lets it connect to its own site only, and to the sites of models that you allowed yourself; your browser enforces that.",
	leavesCheck: "Check it: switch the network off and draw, or open the browser's network panel. Or watch here while you draw in another tab.",
	leavesHere: "Requests answered on this device",
	leavesNetwork: "Requests that went to the network",
	leavesSince: "since {time}",
	leavesFirst: "The counter starts with your second visit: the first one has to fetch the page.",
	back: "Back to drawing",
	badValues: "name one to eight values for each setting, separated by commas",
};

const de = {
	tagline: "Bilder aus Worten, gemalt auf deinem eigenen Gerät.",
	describe: "Beschreibe ein Bild",
	style: "Stil",
	anyStyle: "Egal",
	generate: "Malen",
	cancel: "Abbrechen",
	tryThese: "Zum Beispiel",
	live: "Beim Tippen malen",
	settings: "Einstellungen",
	negative: "Weglassen",
	negativeHelp: "Was auf dem Bild nicht zu sehen sein soll.",
	seed: "Startzahl",
	seedRandom: "zufällig",
	seedHelp: "Gleiche Worte, Einstellungen und Startzahl ergeben das gleiche Bild.",
	roll: "Neue Startzahl würfeln",
	keep: "Diese Startzahl behalten",
	steps: "Schritte",
	stepsHelp: "Mehr Schritte dauern länger und klären die Einzelheiten.",
	guidance: "Führung",
	guidanceHelp: "Wie genau das Bild den Worten folgt.",
	sampler: "Verfahren",
	schedule: "Zeitplan",
	modelsOwn: "Wie im Modell",
	size: "Größe",
	width: "Breite",
	height: "Höhe",
	count: "Bilder auf einmal",
	backend: "Rechnet auf",
	backendAuto: "Was hier am besten geht",
	backendWebgpu: "Grafikkarte (WebGPU)",
	backendSimd: "Prozessor (WebAssembly SIMD)",
	backendCpu: "Prozessor, langsame Referenz",
	compare: "Zwei Einstellungen vergleichen…",
	reset: "Zurück zu den Werten des Modells",
	empty: "Hier erscheint dein Bild.",
	another: "Noch eins",
	variations: "Vier Varianten",
	save: "Sichern",
	copy: "Kopieren",
	share: "Teilen",
	link: "Link kopieren",
	favourite: "Liebling",
	history: "Deine Bilder",
	search: "Deine Bilder durchsuchen",
	onlyFavourites: "Nur Lieblinge",
	exportAll: "Alle als ZIP sichern",
	clear: "Alle bis auf Lieblinge löschen",
	clearSure: "Wirklich löschen?",
	more: "Mehr zeigen",
	remove: "Löschen",
	noneFound: "Kein Bild passt.",
	models: "Modelle",
	modelsIntro: "Ein Modell wird einmal geladen und bleibt in diesem Browser, bis du es hier löschst.",
	modelCurrent: "in Gebrauch",
	use: "Nehmen",
	modelAddress: "Adresse eines Modells",
	check: "Prüfen",
	openFiles: "Ordner eines Modells öffnen…",
	card: "Über dieses Modell",
	modelKept: "{size} MB hier gespeichert",
	modelPart: "{have} von {size} MB hier gespeichert",
	verdict: "Läuft hier auf {backend}. {download} MB zu laden, etwa {memory} MB Arbeitsspeicher.",
	verdictNot: "Läuft hier nicht: {reason}.",
	close: "Schließen",
	compareTitle: "Zwei Einstellungen vergleichen",
	across: "Nach rechts",
	down: "Nach unten",
	values: "Werte, durch Kommas getrennt",
	drawGrid: "Malen",
	saveGrid: "Als ein Bild sichern",
	private: "Privat.",
	privacy: "Das Modell läuft in dieser Seite. Es wird einmal geladen und bleibt in deinem Browser; deine Worte und Bilder verlassen dieses Gerät nie.",
	privacyMore: "Überzeuge dich selbst",
	language: "Sprache",
	newVersion: "Eine neue Fassung dieser Seite ist da.",
	update: "Aktualisieren",
	updateLater: "Gerade wird ein Bild gemalt: aktualisiere, wenn es fertig ist.",
	foreign: "Dieses Modell liegt auf {origin}. Die Seite darf dort nichts holen, bis du es erlaubst.",
	allow: "Erlauben und neu laden",
	offline: "Du bist offline. Alles, was auf diesem Gerät ist, funktioniert.",
	loading: "Das Modell wird geladen",
	downloading: "Das Modell wird geladen, nur einmal: {loaded} von {total} MB",
	reading: "Das Modell wird gelesen",
	preparing: "Gleich geht es los",
	words: "Die Worte werden gelesen",
	step: "Schritt {step} von {steps}",
	finishing: "Das Bild wird fertig",
	drawing: "Es wird gemalt",
	ready: "Das Bild ist fertig: {prompt}",
	cancelled: "Abgebrochen",
	saver: "Um Daten zu sparen, wird das Modell erst beim ersten Malen geladen.",
	truncated: "Die Beschreibung ist länger, als das Modell lesen kann; ihr Ende wurde weggelassen.",
	badSeed: "die Startzahl ist keine ganze Zahl mit höchstens 15 Ziffern",
	restored: "Die Einstellungen von {name} sind wiederhergestellt.",
	noSettings: "{name} enthält keine Einstellungen eines Bildes.",
	unknownFile: "{name} ist weder ein Bild noch ein Modell noch ein Arbeitsablauf.",
	copied: "Das Bild ist kopiert.",
	linkCopied: "Der Link ist kopiert. Er enthält die Worte und Einstellungen, nicht das Bild.",
	noCopy: "Dieser Browser lässt Seiten keine Bilder kopieren: sichere es stattdessen.",
	facts: "{width} × {height} · Startzahl {seed} · {steps} Schritte · {total} auf {backend}: Worte {text}, Schritte {denoise}, Dekodieren {decode}",
	model: "Modell: {name}",
	leavesTitle: "Was dieses Gerät verlässt",
	leavesNothing: "Deine Worte und Bilder: nie.",
	leavesHow: "wisp ist ein Programm in dieser Seite. Es holt von seiner eigenen Adresse die Dateien der Seite und des Modells, behält sie in diesem Browser und fragt danach nach nichts mehr. Es gibt keine Cookies, keine Zähler und keinen fremden Code.",
	leavesPolicy: "Die Inhaltsrichtlinie der Seite erlaubt nur Verbindungen zu ihrer eigenen Adresse und zu denen von Modellen, die du selbst erlaubt hast; dein Browser setzt das durch.",
	leavesCheck: "Prüfe es: Schalte das Netz ab und male, oder öffne die Netzwerkansicht des Browsers. Oder sieh hier zu, während du in einem anderen Tab malst.",
	leavesHere: "Auf diesem Gerät beantwortete Anfragen",
	leavesNetwork: "Anfragen, die ins Netz gingen",
	leavesSince: "seit {time}",
	leavesFirst: "Der Zähler beginnt mit deinem zweiten Besuch: Der erste muss die Seite holen.",
	back: "Zurück zum Malen",
	badValues: "nenne für jede Einstellung ein bis acht Werte, durch Kommas getrennt",
};

export const languages = { en: { name: "English", strings: en }, de: { name: "Deutsch", strings: de } };

let current = "en";

// t is the text of that name in the page's language.
export function t(name, values = {}) {
	return languages[current].strings[name].replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

// chooseLanguage takes the visitor's wish: from the address, from an earlier
// visit, from the browser.
export function chooseLanguage() {
	const wishes = [new URLSearchParams(location.search).get("lang"), remembered(), ...navigator.languages];
	for (const wish of wishes) {
		const tag = wish?.split("-")[0];
		if (Object.hasOwn(languages, tag ?? "")) return setLanguage(tag);
	}
}

// setLanguage puts the words of a language into everything that names one:
// data-t for the text, data-t-title, -placeholder and -aria-label for attributes.
export function setLanguage(tag) {
	current = tag;
	document.documentElement.lang = tag;
	for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
	for (const attribute of ["title", "placeholder", "aria-label"]) {
		for (const element of document.querySelectorAll(`[data-t-${attribute}]`)) {
			element.setAttribute(attribute, t(element.getAttribute(`data-t-${attribute}`)));
		}
	}
}

export const language = () => current;

export function remember(tag) {
	try {
		localStorage.setItem("wisp-language", tag);
	} catch {
		// storage is refused: the choice lasts as long as the page
	}
}

function remembered() {
	try {
		return localStorage.getItem("wisp-language");
	} catch {
		return null;
	}
}
