// An OpenID provider on loopback for tests: npm's oidc-provider, with its own sign-in forms.
//
// Settings come as one line of JSON on stdin: {tls: PEM of key and chain, clients, accounts}.
// It says {"port": N} when it listens. Further lines are orders, each answered by one line:
//   {"accounts": {...}}   what is claimed of whom from now on
//   {"rotate": true}      other signing keys, and none of the earlier
//   {"forge": {...}}      how the next ID tokens differ from what they should be; {} to end
//   {"algorithm": "..."}  of ID tokens from now on
//   {"seen": true}        how often each path was asked for
//
// It forgets everybody when it rotates: sign-ins, sessions and refresh tokens are in memory.

import { generateKeyPairSync, randomUUID } from "node:crypto";
import https from "node:https";
import readline from "node:readline";
import { Provider } from "oidc-provider";
import { SignJWT, base64url, decodeJwt, exportJWK } from "jose";

console.info = console.warn = console.error; // its notices; stdout is for our answers
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const lines = readline.createInterface({ input: process.stdin });
const settings = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
let accounts = settings.accounts;
let algorithm = "RS256";
let forge = {};
let keys = [];
let provider;
const seen = {};

async function newKeys() {
  const kinds = [
    ["RS256", "rsa", { modulusLength: 2048 }],
    ["PS256", "rsa", { modulusLength: 2048 }],
    ["ES256", "ec", { namedCurve: "P-256" }],
    ["EdDSA", "ed25519", {}],
  ];
  return Promise.all(
    kinds.map(async ([alg, kind, how]) => {
      const { privateKey } = generateKeyPairSync(kind, how);
      return { ...(await exportJWK(privateKey)), alg, use: "sig", kid: randomUUID(), privateKey };
    }),
  );
}

async function findAccount(_, id) {
  if (!Object.hasOwn(accounts, id)) return undefined;
  return { accountId: id, claims: async () => ({ sub: id, ...accounts[id] }) };
}

async function newProvider() {
  keys = await newKeys();
  const made = new Provider(`https://127.0.0.1:${server.address().port}`, {
    clients: settings.clients.map((each) => ({ ...each, id_token_signed_response_alg: algorithm })),
    jwks: { keys: keys.map(({ privateKey, ...jwk }) => jwk) },
    findAccount,
    claims: {
      openid: ["sub", "tid", "hd"],
      email: ["email", "email_verified"],
      profile: ["name"],
      groups: ["groups", "_claim_names", "_claim_sources"],
    },
    scopes: ["openid", "offline_access"],
    conformIdTokenClaims: false,
    enabledJWA: { idTokenSigningAlgValues: ["RS256", "PS256", "ES256", "EdDSA"] },
    pkce: { required: () => true, methods: ["S256"] },
    rotateRefreshToken: true,
    issueRefreshToken: async (_, client, code) => code.scopes.has("offline_access"),
    features: { devInteractions: { enabled: true } },
    cookies: { keys: ["a key for tests"] },
  });
  made.use(async (ctx, next) => {
    seen[ctx.path] = (seen[ctx.path] ?? 0) + 1;
    await next();
    if (ctx.path === "/token" && ctx.body?.id_token && Object.keys(forge).length) {
      ctx.body.id_token = await forged(ctx.body.id_token);
    }
  });
  return made;
}

async function forged(token) {
  const claims = { ...decodeJwt(token), ...forge.claims };
  for (const name of forge.without ?? []) delete claims[name];
  const alg = forge.alg ?? "RS256";
  const header = { alg, kid: keys.find((each) => each.alg === alg)?.kid, ...forge.header };
  if (alg === "none") {
    return `${base64url.encode(JSON.stringify(header))}.${base64url.encode(JSON.stringify(claims))}.`;
  }
  if (alg.startsWith("HS")) {
    const secret = new TextEncoder().encode(forge.secret);
    return new SignJWT(claims).setProtectedHeader(header).sign(secret);
  }
  if (forge.stranger) {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    return new SignJWT(claims).setProtectedHeader(header).sign(privateKey);
  }
  const { privateKey } = keys.find((each) => each.alg === alg);
  return new SignJWT(claims).setProtectedHeader(header).sign(privateKey);
}

async function obey(order) {
  if (order.accounts) accounts = order.accounts;
  if (order.forge) forge = order.forge;
  if (order.algorithm) algorithm = order.algorithm;
  if (order.rotate || order.algorithm) provider = await newProvider();
  return order.seen ? seen : { done: true };
}

const server = https.createServer({ key: settings.tls, cert: settings.tls }, (request, response) =>
  provider.callback()(request, response),
);
server.listen(0, "127.0.0.1", async () => {
  provider = await newProvider();
  say({ port: server.address().port });
  for await (const line of lines) say(await obey(JSON.parse(line)));
  process.exit(0); // who started us is gone
});
