// What the page asks of this folder once somebody needs it: it is served as one
// script.
export { further, readLink, writeLink } from "./link.js";
export { kindOf, triggersOf } from "./lora.js";
export { readMetadata } from "./metadata.js";
export { parametersText, parseJSON, parseWorkflow, readPicture, settle } from "./said.js";
export { call } from "./sdapi.js";
export { linesOf, plainly, vary } from "./wildcards.js";
