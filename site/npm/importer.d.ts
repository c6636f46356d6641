/**
 * Packs models in the page. Where a bundler builds it, import these from here:
 * only then does it take their program along.
 */
export { importModel, inspectModel } from "./wisp.js";
