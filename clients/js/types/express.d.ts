import type { Claims, Requirements, Verifier } from './index.js';

declare global {
  namespace Express {
    interface Request {
      /** The claims of the verified token, behind `requireToken`. */
      claims?: Claims;
    }
  }
}

/** The parts of a request and a response that the middleware needs. */
export interface IncomingRequest {
  headers: { authorization?: string | undefined };
  headersDistinct?: { authorization?: string[] | undefined };
}
export interface OutgoingResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body: string): unknown;
}

/** Lets a request pass if its token is valid, with its claims in `req.claims`. */
export function requireToken(
  verifier: Verifier,
  requirements?: Requirements,
): (req: IncomingRequest, res: OutgoingResponse, next: (error?: unknown) => void) => Promise<void>;
