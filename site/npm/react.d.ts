/**
 * <wisp-generator> in React's JSX, for TypeScript:
 *
 *   import "wisp-generator/widget.js";
 *   import type {} from "wisp-generator/react";
 */
import type { DetailedHTMLProps, HTMLAttributes } from "react";
import type { WispGenerator, WispGeneratorEvents } from "./widget.js";

/** What the element takes in JSX: its attributes and, from React 19 on, its events. */
export interface WispGeneratorAttributes extends HTMLAttributes<WispGenerator> {
	model?: string;
	prompt?: string;
	steps?: number | string;
	seed?: number | string;
	backend?: "auto" | "webgpu" | "simd" | "cpu";
	live?: boolean;
	name?: string;
	required?: boolean;
	disabled?: boolean;
	"onwisp-ready"?: (event: WispGeneratorEvents["wisp-ready"]) => void;
	"onwisp-progress"?: (event: WispGeneratorEvents["wisp-progress"]) => void;
	"onwisp-step"?: (event: WispGeneratorEvents["wisp-step"]) => void;
	"onwisp-image"?: (event: WispGeneratorEvents["wisp-image"]) => void;
	"onwisp-error"?: (event: WispGeneratorEvents["wisp-error"]) => void;
}

declare module "react" {
	namespace JSX {
		interface IntrinsicElements {
			"wisp-generator": DetailedHTMLProps<WispGeneratorAttributes, WispGenerator>;
		}
	}
}
