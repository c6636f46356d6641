/** <wisp-generator>: a picture from words, as an element of any page. */
import type { Progress, Request, Result, Step, WispErrorCode } from "./wisp.js";

/**
 * Attributes: `model`, `prompt`, `steps`, `seed`, `backend`, `live` (draw while
 * typing), `name` and `required` (in a form, the value is the picture as a PNG
 * file), `disabled`, `lang` (`en`, `de` or `zh`; else that of the page around the
 * element, else the browser's). Parts to style: `form`, `prompt`, `button`, `picture`,
 * `empty`, `status`. Custom properties: `--wisp-accent`, `--wisp-on-accent`,
 * `--wisp-ink`, `--wisp-paper`, `--wisp-round`.
 */
export class WispGenerator extends HTMLElement {
	static readonly formAssociated: true;
	/** Draws with the attributes and what the request adds; supersedes a picture under way. */
	generate(request?: Partial<Request>): Promise<Result>;
	/** Ends the picture under way, with `aborted`. */
	cancel(): void;
	/** The picture, once there is one. */
	readonly value: File | null;
	readonly form: HTMLFormElement | null;
	readonly type: "wisp-generator";
	readonly validity: ValidityState;
	readonly validationMessage: string;
	readonly willValidate: boolean;
	name: string;
	checkValidity(): boolean;
	reportValidity(): boolean;
}

/** What the element tells; all events bubble. */
export interface WispGeneratorEvents {
	"wisp-ready": CustomEvent<{ name: string; backend: string }>;
	"wisp-progress": CustomEvent<Progress>;
	"wisp-step": CustomEvent<Step>;
	"wisp-image": CustomEvent<{ result: Result; blob: Blob }>;
	"wisp-error": CustomEvent<{ code: WispErrorCode; message: string }>;
}

declare global {
	interface HTMLElementTagNameMap {
		"wisp-generator": WispGenerator;
	}
	interface HTMLElementEventMap extends WispGeneratorEvents {}
}
