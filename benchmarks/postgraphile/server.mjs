// PostGraphile as its documentation would have it in production: one process on node's own HTTP server, persisted
// operations, no GraphiQL, no watching, no explaining. The caller's role and claims are set for each transaction from
// the same token that the product takes.
import { createPublicKey } from "node:crypto";
import { createServer } from "node:http";
import { PersistedPlugin } from "@grafserv/persisted";
import jwt from "jsonwebtoken";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { SafeError } from "postgraphile/grafast";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { jsonPgSmartTags } from "postgraphile/utils";

const { database, issuer, key: jwk, leeway, limits, pool, remembered } = JSON.parse(process.env.PEER);
const key = createPublicKey({ key: jwk, format: "jwk" });
const known = new Map(); // tokens whose signature was good

function verified(token) {
  const options = { algorithms: ["ES256"], audience: "authenticated", clockTolerance: leeway, issuer };
  const { aal, exp, role, session_id, sub } = jwt.verify(token, key, options);
  if (role !== "authenticated") throw new Error("not a client's token");
  const claims = JSON.stringify({ sub, role, aal, session_id });
  return { ends: exp, settings: { role, "request.jwt.claims": claims } };
}

function settings(request) {
  const token = (request.headers.authorization ?? "").slice("Bearer ".length);
  let found = known.get(token);
  try {
    if (found === undefined) {
      found = verified(token);
      if (known.size >= remembered) known.clear();
      known.set(token, found);
    }
    if (found.ends + leeway < Date.now() / 1000) throw new Error("over");
  } catch {
    throw new SafeError("Sign in to go on.", { statusCode: 401 });
  }
  return found.settings;
}

const tags = {
  type: { "public.admin_role": { tags: { name: "admin_kind" } } }, // or it has the name of table admin_roles
  attribute: { "public.enrollments.enrolled_at": { tags: { behavior: "+orderBy" } } }, // not offered without an index
};
const pgl = postgraphile({
  extends: [PostGraphileAmberPreset],
  plugins: [jsonPgSmartTags({ version: 1, config: tags }), PersistedPlugin],
  pgServices: [
    makePgService({ connectionString: database, schemas: ["public"], poolConfig: { max: pool, ...limits } }),
  ],
  grafast: { context: ({ node }) => ({ pgSettings: settings(node.req) }), explain: false },
  grafserv: {
    graphiql: false,
    watch: false,
    websockets: false,
    outputDataAsString: true,
    persistedOperationsDirectory: import.meta.dirname,
    // Answers with errors are 200 as well: whoever measures must find this silent.
    maskError(error) {
      console.error(error.message);
      return error;
    },
  },
});
const server = createServer();
await pgl.createServ(grafserv).addTo(server);
await pgl.getSchema();
server.listen(0, "127.0.0.1", () => console.log(`Ready: http://127.0.0.1:${server.address().port}`));
