// Supabase's helper for servers, asked by tests/auth/test_cookies.py: what it reads in our cookies, and what it writes.
import { createServerClient } from "@supabase/ssr";

const { url, sent, email, password } = JSON.parse(await new Response(process.stdin).text());
const written = [];
const client = createServerClient(url, "sb_publishable_none", {
  cookies: { getAll: () => sent, setAll: (all) => void written.push(...all) },
});
if (email) {
  const { error } = await client.auth.signInWithPassword({ email, password });
  if (error) throw error;
}
const { data, error } = await client.auth.getSession();
if (error) throw error;
console.log(JSON.stringify({ session: data.session, written }));
