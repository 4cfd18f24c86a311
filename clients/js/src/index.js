export { FeedError, VerifyError } from './errors.js';
export { problem, toResponse } from './response.js';
export { createVerifier } from './verifier.js';
