/** Why a token is refused. */
export type ErrorCode =
  | 'missing'
  | 'invalid_request'
  | 'malformed'
  | 'unsupported_algorithm'
  | 'unknown_key'
  | 'bad_signature'
  | 'wrong_type'
  | 'wrong_issuer'
  | 'wrong_audience'
  | 'expired'
  | 'not_yet_valid'
  | 'revoked'
  | 'insufficient_scope'
  | 'wrong_subject'
  | 'stale'
  | 'unavailable';

/** Why the metadata, the keys or the feed could not be read. */
export type FeedErrorCode =
  | 'clock'
  | 'closed'
  | 'feed_off'
  | 'gap'
  | 'invalid_frame'
  | 'invalid_response'
  | 'status'
  | 'too_large'
  | 'unreachable';

export interface VerifierOptions {
  /** The issuer: the `iss` of tokens. Its metadata says where the keys and the feed are. */
  issuer: string;
  /** The audience of this service: one that `aud` of a token must contain. */
  audience: string;
  /** Tolerated difference of clocks, in seconds. Default 5. */
  leeway?: number | undefined;
  /**
   * The way to follow the revocations. `live` (default) keeps one request waiting. `poll` asks every second, which a
   * cache can answer. `off`: a token is accepted until it expires.
   */
  feed?: 'live' | 'poll' | 'off' | undefined;
  /** The knowledge of revocations is stale if it is older, in seconds. Default 10. */
  maxStaleness?: number | undefined;
  /** The result for valid tokens while the knowledge of revocations is stale. Default `refuse`. */
  whenStale?: 'allow' | 'refuse' | 'ask' | undefined;
  /** The number of verified tokens that are remembered, so that they cost no cryptography again. Default 10,000. */
  cacheSize?: number | undefined;
  /**
   * Set to false where nothing runs between requests (Cloudflare Workers and other isolates). The feed is then read
   * when a token is verified, at most once a second.
   */
  background?: boolean | undefined;
  /**
   * Reports to Signet once a minute what was read of the feed, so that its operator sees which followers lag. The name
   * is one of this process alone: 1 to 100 letters, digits and `._:/@-`. The API key has the scope `feed:report`.
   */
  report?: { name: string; apiKey: string } | undefined;
  /** Replaces the global `fetch`. */
  fetch?: typeof fetch | undefined;
  /** Replaces the system's clocks. */
  clock?: Clock | undefined;
  /**
   * Called with the error when the feed or the keys could not be read. By default a warning on the console, at most
   * once a minute.
   */
  onError?: ((error: Error) => void) | undefined;
}

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Milliseconds since any moment; never goes back. */
  monotonic(): number;
}

/** Requirements that a token must meet besides being valid. */
export interface Requirements {
  /** Scopes, all of which the token must have. */
  scopes?: readonly string[] | undefined;
  /** `user`: someone who signed in. `client`: an API key. */
  subject?: 'user' | 'client' | undefined;
}

/** The claims of a token. Requests with the same token share them; they cannot be changed. */
export interface Claims {
  /** The id of the user. Of a token that was issued to an API key: the id of the key's owner. */
  readonly sub: string;
  /** The id of the session. Absent if the token was issued to an API key. */
  readonly sid: string | undefined;
  /** The id of the token. */
  readonly jti: string | undefined;
  readonly clientId: string | undefined;
  readonly scopes: ReadonlySet<string>;
  readonly audience: readonly string[];
  /** The e-mail address, only if it is verified. */
  readonly email: string | undefined;
  readonly emailVerified: boolean;
  /** Seconds since 1970, as all times here. */
  readonly issuedAt: number | undefined;
  readonly expiresAt: number;
  readonly authTime: number | undefined;
  /** The token belongs to a user who signed in. */
  readonly isUser: boolean;
  /** The token was issued to an API key. */
  readonly isClient: boolean;
  /** All claims as signed. */
  readonly raw: Readonly<Record<string, unknown>>;
}

export interface Status {
  feed: 'live' | 'poll' | 'off';
  stale: boolean;
  /** The age of the knowledge of revocations in seconds; infinite before the feed was read. */
  staleness: number;
  /** The number of entries. */
  revocations: number;
  epoch: string | undefined;
  position: string | undefined;
  keys: number;
  cachedTokens: number;
}

export interface Verifier {
  /**
   * Starts to read the keys and the feed; the first verification does so too. Resolves when that has been tried, and
   * does not reject: `status()` and `onError` say how it went.
   */
  start(): Promise<void>;
  /** Verifies a token. Rejects with a `VerifyError`. */
  verify(token: string | null | undefined, requirements?: Requirements): Promise<Claims>;
  /** Verifies the token in the value of an `Authorization` header. Rejects with a `VerifyError`. */
  verifyAuthorization(header: string | null | undefined, requirements?: Requirements): Promise<Claims>;
  status(): Status;
  /** Ends all requests and timers. The process can then end, and no token is verified any more. */
  close(): void;
}

/** Makes a verifier. It starts with the first verification, or by `start()`. */
export function createVerifier(options: VerifierOptions): Verifier;

export class VerifyError extends Error {
  constructor(code: ErrorCode, details?: { cause?: unknown; scopes?: readonly string[] });
  readonly code: ErrorCode;
  /** The HTTP status: 400, 401, 403 or 503. */
  readonly status: 400 | 401 | 403 | 503;
  /** The scopes that were required, if `code` is `insufficient_scope`. */
  readonly scopes: readonly string[];
}

export class FeedError extends Error {
  constructor(code: FeedErrorCode, message: string, details?: { cause?: unknown; retryAfter?: number });
  readonly code: FeedErrorCode;
  readonly retryAfter: number | undefined;
}

/** The response to a request whose token is refused. Throws errors that are no `VerifyError` again. */
export function problem(error: unknown): { status: number; headers: Record<string, string>; body: string };

/** The same as a `Response`. */
export function toResponse(error: unknown): Response;
