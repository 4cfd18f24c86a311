// The device secret of a mailed link, which stays on the device that requested the link.

/** @typedef {'magic' | 'reset'} Kind */

/** @param {Kind} kind */
const name = (kind) => `signet.device_secret.${kind}`;

/**
 * @param {Kind} kind
 * @param {string} secret
 */
export function storeDeviceSecret(kind, secret) {
  try {
    localStorage.setItem(name(kind), secret);
  } catch {
    // Then the page of the link asks for a new link.
  }
}

/**
 * @param {Kind} kind
 * @returns {string | null}
 */
export function deviceSecret(kind) {
  try {
    return localStorage.getItem(name(kind));
  } catch {
    return null;
  }
}

/** @param {Kind} kind */
export function forgetDeviceSecret(kind) {
  try {
    localStorage.removeItem(name(kind));
  } catch {
    // There is none.
  }
}
