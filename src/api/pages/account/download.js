// Saves a text as a file.

/**
 * @param {string} name
 * @param {string} text
 * @param {string} mediaType
 */
export function download(name, text, mediaType) {
  const url = URL.createObjectURL(new Blob([text], { type: mediaType }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
