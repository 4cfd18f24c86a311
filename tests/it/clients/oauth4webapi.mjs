// oauth4webapi, a client that follows the RFCs to the letter, against a running Signet. Reads a request and prints what
// it was told, as JSON.

import * as oauth from 'oauth4webapi';

let text = '';
for await (const chunk of process.stdin) text += chunk;
const { issuer: url, key, refreshToken } = JSON.parse(text);

// The server of the test has no TLS.
const insecure = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(url);
const as = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }),
);

// The library encodes both parts of `client_secret_basic` as a form (RFC 6749, 2.3.1), with the `_` of an API key.
const program = { client_id: 'a program: 100 %' };
const basic = oauth.ClientSecretBasic(key);
const app = { client_id: 'app' };

/** The claims of an access token, as a resource server reads them (RFC 9068). */
async function validate(token, audience = 'signet') {
  const request = new Request('https://service.example.org/', { headers: { authorization: `Bearer ${token}` } });
  try {
    return await oauth.validateJwtAccessToken(as, request, audience, insecure);
  } catch (error) {
    return { error: error.code };
  }
}

/** What the server says of a token (RFC 7662). */
async function introspect(token) {
  const response = await oauth.introspectionRequest(as, program, basic, token, insecure);
  return oauth.processIntrospectionResponse(as, program, response);
}

async function revoke(token) {
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, program, basic, token, insecure));
}

const granted = await oauth.processClientCredentialsResponse(
  as,
  program,
  await oauth.clientCredentialsGrantRequest(as, program, basic, { scope: 'read' }, insecure),
);

const refresh = async (token) => oauth.processRefreshTokenResponse(
  as,
  app,
  await oauth.refreshTokenGrantRequest(as, app, oauth.None(), token, insecure),
);
const refreshed = await refresh(refreshToken);

const before = await introspect(refreshed.access_token);
const wrongAudience = await validate(refreshed.access_token, 'another');
const [user, client] = [await validate(refreshed.access_token), await validate(granted.access_token)];
await revoke('unknown');
await revoke(refreshed.refresh_token);
await revoke(granted.access_token);
const after = [await introspect(refreshed.access_token), await introspect(granted.access_token)];
const refused = await refresh(refreshed.refresh_token).then(() => 'accepted', (error) => error.error);

console.log(JSON.stringify({ granted, user, client, wrongAudience, before, after, refused }));
