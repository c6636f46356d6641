// A picture from the camera. It is used here and shown to nobody.
import { opened } from "./parts.js";
import { create, sentence, t } from "./ui.js";

// open shows what the camera sees; use gets the picture that the visitor takes.
export function open(use) {
	let stream = null, there = true;
	const stop = () => stream?.getTracks().forEach((track) => track.stop());
	const box = opened("camera", () => {
		there = false;
		stop();
	});
	const video = box.querySelector("video"), failed = box.querySelector("[role=alert]"), shoot = box.querySelector("[data-do=go]");
	video.muted = true; // which a copy of the markup is not
	shoot.addEventListener("click", async () => {
		const canvas = create("canvas", { width: video.videoWidth, height: video.videoHeight });
		canvas.getContext("2d").drawImage(video, 0, 0);
		const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
		box.close();
		await use(blob);
	});
	video.addEventListener("loadeddata", () => (shoot.disabled = false));
	navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1024 }, height: { ideal: 1024 } } }).then((s) => {
		stream = s;
		if (there) video.srcObject = s;
		else stop();
	}, (err) => {
		failed.textContent = sentence(err.name === "NotAllowedError" ? t("noCameraAllowed") : t("noCamera"));
		failed.hidden = false;
	});
}
