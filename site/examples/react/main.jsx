import { useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { createGenerator, toPNG } from "wisp-generator";
import "wisp-generator/widget.js";

const model = "/models/default/"; // copied into public/ by npm run models

// Heart draws by the module.
function Heart() {
	const [picture, setPicture] = useState(null);
	const [failure, setFailure] = useState("");
	useEffect(() => {
		const stop = new AbortController();
		let generator;
		(async () => {
			generator = await createGenerator({ model, signal: stop.signal });
			const result = await generator.generate({ prompt: "red heart", seed: 1, steps: 4, signal: stop.signal });
			setPicture(URL.createObjectURL(await toPNG(result)));
		})().catch((error) => error.code !== "aborted" && setFailure(error.message));
		return () => {
			stop.abort();
			generator?.dispose();
		};
	}, []);
	if (failure) return <p role="alert">{failure}</p>;
	return picture ? <img id="heart" src={picture} alt="red heart" /> : <p>Drawing…</p>;
}

// Studio is the custom element with a listener.
function Studio() {
	const widget = useRef(null);
	const [seeds, setSeeds] = useState([]);
	useEffect(() => {
		const add = ({ detail }) => setSeeds((before) => [...before, detail.result.seed]);
		const element = widget.current;
		element.addEventListener("wisp-image", add);
		return () => element.removeEventListener("wisp-image", add);
	}, []);
	return (
		<>
			<wisp-generator ref={widget} model={model} prompt="rocket" steps="4" seed="5" />
			<p id="seeds">{seeds.join(" ")}</p>
		</>
	);
}

createRoot(document.getElementById("root")).render(<><Heart /><Studio /></>);
