// app/orders/[id]/route.ts of a Next.js application.

import { type Claims, createVerifier } from '@signet/verify';
import { requireToken } from '@signet/verify/next';

const verifier = createVerifier({ issuer: 'http://127.0.0.1:8000', audience: 'signet' });

interface Context {
  params: Promise<{ id: string }>;
}

async function getOrder(_request: Request, { params, claims }: Context & { claims: Claims }) {
  const { id } = await params;
  return Response.json({ id, user: claims.sub });
}

export const GET: (request: Request, context: Context) => Promise<Response> =
  requireToken(verifier, getOrder, { subject: 'user' });
