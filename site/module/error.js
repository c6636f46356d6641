// Errors as they leave the module.
const codes = ["unsupported", "network", "corrupt", "quota", "out-of-memory", "device-lost", "aborted", "bad-request", "bad-model", "internal"];

export class WispError extends Error {
	constructor(code, message) {
		super(message);
		this.name = "WispError";
		this.code = codes.includes(code) ? code : "internal";
	}
}

export const aborted = () => new WispError("aborted", "the request was cancelled");
