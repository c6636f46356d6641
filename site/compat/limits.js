// What reading one file or one request may cost, whoever wrote it. Each is
// checked before it is spent.

export const maxFile = 64 << 20; // bytes of a picture or a workflow
export const maxPieces = 1000; // texts that are looked at in a file
export const maxText = 1 << 20; // bytes of one text, decompressed
export const maxTexts = 4 << 20; // bytes of all texts of a file
export const maxBoxes = 4096; // parts of a container, such as tags of EXIF
export const maxDepth = 100; // of JSON
export const maxPrompt = 20_000; // letters of a prompt, as in the page's form
export const maxVaried = 1 << 20; // letters and lines that its wildcards read
export const maxPairs = 500; // "key: value" of a line of settings
export const maxNodes = 5000; // of a workflow
export const maxBody = 96 << 20; // bytes of a program's request, a picture in base64 at most
export const maxJobs = 16; // pictures that programs may wait for at once
export const maxPixels = 1 << 26; // of a picture that is decoded: 64 million
export const maxSide = 1 << 14; // pixels of one of its sides
