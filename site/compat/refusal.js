// Refusal is what somebody asked for and cannot have; its message names it. The
// code is that of WispError, which the page shows and programs are told.
export class Refusal extends Error {
	constructor(message, code = "bad-request") {
		super(message);
		this.name = "Refusal";
		this.code = code;
	}
}

export const refuse = (message) => {
	throw new Refusal(message);
};

// brief is what somebody sent, short enough to repeat, on one line.
export const brief = (value, most = 60) => {
	const text = String(value).slice(0, 2 * most).replace(/\s+/g, " ").trim();
	return text.length > most ? `${text.slice(0, most - 1)}…` : text;
};
