// The element in React's JSX, for the type checker only (make test-vite).
import { useRef } from "react";
import type {} from "wisp-generator/react";
import "wisp-generator/widget.js";
import type { WispGenerator } from "wisp-generator/widget.js";

export function Studio() {
	const widget = useRef<WispGenerator>(null);
	return (
		<>
			<wisp-generator ref={widget} className="art" prompt="rocket" steps={4} seed="5" live onwisp-image={(event) => console.log(event.detail.result.seed)} />
			{/* @ts-expect-error: no such backend */}
			<wisp-generator backend="magic" />
		</>
	);
}
