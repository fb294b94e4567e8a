// One line of tests/auth/service/test_clients.py in JavaScript, by its name; prints OK at its end.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

import { createClient } from '@supabase/supabase-js'

const [line, url, publishable, secret, outbox] = process.argv.slice(2)
const ANA = 'ana@example.com'
const NEW = 'new@example.com'
const PASSWORD = 'correct horse battery'
const OTHER = 'another good one'

function client(key = publishable, flowType = 'implicit') {
  const auth = { autoRefreshToken: false, persistSession: false, detectSessionInUrl: false, flowType }
  return createClient(url, key, { auth }).auth
}

async function good(answer) {
  const { data, error } = await answer
  assert.equal(error, null)
  return data
}

async function refused(code, answer, status = undefined) {
  const { error } = await answer
  assert.ok(error, `not refused: ${code}`)
  assert.equal(error.code, code)
  if (status !== undefined) assert.equal(error.status, status)
}

const ana = async (auth, password = PASSWORD) =>
  (await good(auth.signInWithPassword({ email: ANA, password }))).session

// Mail leaves after the answer, so one waits for the one after those known.
const known = new Set()
async function mail(to) {
  for (let tries = 0; tries < 500; tries += 1) {
    let files = []
    try {
      files = readdirSync(outbox).sort()
    } catch {
      // the first mail makes the folder
    }
    for (const file of files.filter((one) => one.endsWith('.eml') && !known.has(one))) {
      const text = readFileSync(join(outbox, file), 'utf8').replaceAll('\r\n', '\n')
      if (!text.includes(`\nTo: ${to}\n`) || !text.trimEnd().endsWith('--')) continue
      known.add(file)
      return {
        token: text.match(/token_hash=([a-z_0-9]+)/)?.[1],
        digits: text.match(/^Your code: (\d{6})$/m)?.[1],
      }
    }
    await wait(20)
  }
  throw new Error(`no mail to ${to}`)
}

function totpOf(text) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const bits = [...text].map((one) => letters.indexOf(one).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)))
  const step = Buffer.alloc(8)
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000)))
  const mac = createHmac('sha1', key).update(step).digest()
  const number = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff
  return String(number % 1000000).padStart(6, '0')
}

const other = (code) => String((Number(code) + 1) % 1000000).padStart(6, '0')

const lines = {
  async sign_up() {
    const mine = client()
    const made = await good(
      mine.signUp({ email: NEW, password: OTHER, options: { data: { first_name: 'Nia' } } })
    )
    assert.equal(made.session, null)
    assert.equal(made.user.email, NEW)
    assert.equal(made.user.user_metadata.first_name, 'Nia')
    const { token } = await mail(NEW)
    await refused('email_not_confirmed', mine.signInWithPassword({ email: NEW, password: OTHER }), 400)
    const done = await good(mine.verifyOtp({ token_hash: token, type: 'signup' }))
    assert.ok(done.user.email_confirmed_at)
    const again = await good(mine.signInWithPassword({ email: NEW, password: OTHER }))
    assert.equal(again.user.id, done.user.id)
  },
  async weak_password() {
    const { error } = await client().signUp({ email: NEW, password: 'short' })
    assert.equal(error.code, 'weak_password')
    assert.deepEqual(error.reasons, ['length'])
  },
  async sign_in() {
    const session = await ana(client())
    assert.equal(session.user.email, ANA)
    assert.equal(session.token_type, 'bearer')
    assert.equal(session.expires_in, 3600)
  },
  async wrong_password() {
    const mine = client()
    for (const [email, password] of [[ANA, 'wrong'], ['never@example.com', PASSWORD]]) {
      await refused('invalid_credentials', mine.signInWithPassword({ email, password }), 400)
    }
  },
  async refresh() {
    const mine = client()
    const first = await ana(mine)
    const second = (await good(mine.refreshSession())).session
    assert.notEqual(second.refresh_token, first.refresh_token)
    assert.equal(second.user.id, first.user.id)
    const again = (await good(mine.refreshSession({ refresh_token: first.refresh_token }))).session
    assert.equal(again.refresh_token, second.refresh_token)
  },
  async refresh_reuse() {
    const mine = client()
    const first = await ana(mine)
    for (const _ of [1, 2]) await good(mine.refreshSession())
    const last = (await good(mine.getSession())).session
    await refused('refresh_token_already_used', mine.refreshSession({ refresh_token: first.refresh_token }), 400)
    await refused('refresh_token_not_found', mine.refreshSession({ refresh_token: last.refresh_token }), 400)
    const { error } = await client().getUser(last.access_token)
    assert.equal(error.name, 'AuthSessionMissingError') // what the client makes of session_not_found
  },
  async user() {
    const mine = client()
    const elsewhere = client()
    await ana(mine)
    const session = await ana(elsewhere)
    assert.equal((await good(mine.getUser())).user.email, ANA)
    let changed = await good(mine.updateUser({ data: { color: 'green', size: 3 } }))
    assert.equal(changed.user.user_metadata.color, 'green')
    changed = await good(mine.updateUser({ data: { size: null } }))
    assert.equal(changed.user.user_metadata.color, 'green')
    assert.ok(!('size' in changed.user.user_metadata))
    await refused('same_password', mine.updateUser({ password: PASSWORD }), 422)
    await refused('weak_password', mine.updateUser({ password: 'short' }), 422)
    await good(mine.updateUser({ password: OTHER }))
    assert.ok((await elsewhere.getUser(session.access_token)).error)
    await good(mine.getUser())
    await ana(elsewhere, OTHER)
  },
  async sign_out() {
    const [one, two, three] = [client(), client(), client()]
    const tokens = []
    for (const mine of [one, two, three]) tokens.push((await ana(mine)).access_token)
    const standing = async () => {
      const found = []
      for (const token of tokens) found.push((await client().getUser(token)).error === null)
      return found
    }
    assert.equal((await one.signOut({ scope: 'local' })).error, null)
    assert.deepEqual(await standing(), [false, true, true])
    assert.equal((await two.signOut({ scope: 'others' })).error, null)
    assert.deepEqual(await standing(), [false, true, false])
    tokens.push((await ana(one)).access_token)
    assert.equal((await two.signOut({ scope: 'global' })).error, null)
    assert.deepEqual(await standing(), [false, false, false, false])
  },
  async recover() {
    const mine = client()
    await good(mine.resetPasswordForEmail(ANA))
    const { token } = await mail(ANA)
    await good(mine.verifyOtp({ token_hash: token, type: 'recovery' }))
    await good(mine.updateUser({ password: OTHER }))
    await ana(mine, OTHER)
    await refused('otp_expired', mine.verifyOtp({ token_hash: token, type: 'recovery' }), 403)
    await good(mine.resetPasswordForEmail(ANA))
    const { digits } = await mail(ANA)
    const done = await good(mine.verifyOtp({ email: ANA, token: digits, type: 'recovery' }))
    assert.ok(done.session)
  },
  async otp() {
    const mine = client()
    for (const email of [ANA, NEW]) {
      await good(mine.signInWithOtp({ email }))
      const { digits } = await mail(email)
      const done = await good(mine.verifyOtp({ email, token: digits, type: 'email' }))
      assert.equal(done.user.email, email)
    }
  },
  async resend() {
    const mine = client()
    await good(mine.signUp({ email: NEW, password: OTHER }))
    const first = await mail(NEW)
    await good(mine.resend({ type: 'signup', email: NEW }))
    const second = await mail(NEW)
    await refused('otp_expired', mine.verifyOtp({ token_hash: first.token, type: 'signup' }), 403)
    await good(mine.verifyOtp({ token_hash: second.token, type: 'signup' }))
  },
  async pkce() {
    const mine = client(publishable, 'pkce')
    await good(mine.resetPasswordForEmail(ANA, { redirectTo: `${url}/account` }))
    const { token } = await mail(ANA)
    const query = new URLSearchParams({ token, type: 'recovery', redirect_to: `${url}/account` })
    const answer = await fetch(`${url}/auth/v1/verify?${query}`, { redirect: 'manual' })
    assert.equal(answer.status, 303)
    const going = new URL(answer.headers.get('location'))
    assert.equal(going.pathname, '/account')
    const done = await good(mine.exchangeCodeForSession(going.searchParams.get('code')))
    assert.equal(done.user.email, ANA)
  },
  async invite() {
    const admin = client(secret).admin
    const mine = client()
    const made = await good(admin.inviteUserByEmail(NEW, { data: { first_name: 'Nia' } }))
    assert.ok(made.user.invited_at)
    const { token } = await mail(NEW)
    const done = await good(mine.verifyOtp({ token_hash: token, type: 'invite' }))
    assert.equal(done.user.id, made.user.id)
    assert.equal(done.user.user_metadata.first_name, 'Nia')
    await good(mine.updateUser({ password: OTHER }))
    await good(mine.signInWithPassword({ email: NEW, password: OTHER }))
    await refused('email_exists', admin.inviteUserByEmail(NEW), 422)
  },
  async admin() {
    const admin = client(secret).admin
    const mine = client()
    const made = await good(
      admin.createUser({
        email: NEW, password: OTHER, email_confirm: true, user_metadata: { a: 1 }, app_metadata: { b: 2 },
      })
    )
    const { id } = made.user
    assert.deepEqual(made.user.app_metadata, { provider: 'email', providers: ['email'], b: 2 })
    await refused('email_exists', admin.createUser({ email: NEW, password: OTHER }), 422)
    const listed = await good(admin.listUsers({ page: 1, perPage: 3 }))
    assert.equal(listed.users.length, 3)
    assert.equal(listed.users[0].id, id)
    assert.ok(listed.total > 3)
    assert.equal(listed.nextPage, 2)
    assert.equal(listed.lastPage, Math.ceil(listed.total / 3))
    assert.equal((await good(admin.getUserById(id))).user.email, NEW)
    const changed = await good(
      admin.updateUserById(id, { app_metadata: { b: null, c: 3 }, email: 'newer@example.com' })
    )
    assert.deepEqual(changed.user.app_metadata, { provider: 'email', providers: ['email'], c: 3 })
    const newer = { email: 'newer@example.com', password: OTHER }
    const { session } = await good(mine.signInWithPassword(newer))
    await good(admin.updateUserById(id, { ban_duration: '24h' }))
    await refused('user_banned', mine.getUser(session.access_token), 403)
    await refused('user_banned', mine.signInWithPassword(newer), 400)
    await good(admin.updateUserById(id, { ban_duration: 'none' }))
    await good(mine.signInWithPassword(newer))
    await good(admin.deleteUser(id, true))
    await refused('invalid_credentials', mine.signInWithPassword(newer), 400)
    await good(admin.deleteUser(id))
    await refused('user_not_found', admin.getUserById(id), 404)
    await refused('not_admin', mine.admin.listUsers(), 403)
  },
  async generate_link() {
    const admin = client(secret).admin
    const mine = client()
    const { properties, user } = await good(admin.generateLink({ type: 'magiclink', email: ANA }))
    assert.equal(properties.verification_type, 'magiclink')
    assert.equal(user.email, ANA)
    await good(mine.verifyOtp({ token_hash: properties.hashed_token, type: 'magiclink' }))
    const link = (await good(admin.generateLink({ type: 'recovery', email: ANA }))).properties.action_link
    const answer = await fetch(link, { redirect: 'manual' })
    const going = new URL(answer.headers.get('location'))
    const told = new URLSearchParams(going.hash.slice(1))
    const tokens = { access_token: told.get('access_token'), refresh_token: told.get('refresh_token') }
    assert.equal((await good(mine.setSession(tokens))).user.email, ANA)
  },
  async change_email() {
    const mine = client()
    await ana(mine)
    const waiting = await good(mine.updateUser({ email: 'ana.b@example.com' }))
    assert.equal(waiting.user.email, ANA)
    assert.equal(waiting.user.new_email, 'ana.b@example.com')
    const was = await mail(ANA)
    const will = await mail('ana.b@example.com')
    const half = await good(mine.verifyOtp({ token_hash: will.token, type: 'email_change' }))
    assert.equal(half.session, null)
    await ana(mine)
    const done = await good(mine.verifyOtp({ token_hash: was.token, type: 'email_change' }))
    assert.equal(done.user.email, 'ana.b@example.com')
    await refused('email_exists', mine.updateUser({ email: 'bo@example.com' }), 422)
  },
  async reauthenticate() {
    const mine = client()
    await ana(mine)
    await good(mine.reauthenticate())
    const { digits } = await mail(ANA)
    await refused('reauthentication_not_valid', mine.updateUser({ password: OTHER, nonce: other(digits) }), 422)
    await good(mine.updateUser({ password: OTHER, nonce: digits }))
    await ana(mine, OTHER)
  },
  async totp() {
    const mine = client()
    const elsewhere = client()
    await ana(mine)
    const session = await ana(elsewhere)
    const made = await good(mine.mfa.enroll({ factorType: 'totp', friendlyName: 'phone', issuer: 'Us' }))
    assert.match(made.totp.qr_code, /^data:image\/svg\+xml;utf-8,<svg [^#]*$/)
    const code = totpOf(made.totp.secret)
    const factorId = made.id
    const { id: challengeId } = await good(mine.mfa.challenge({ factorId }))
    await refused('mfa_verification_failed', mine.mfa.verify({ factorId, challengeId, code: other(code) }), 422)
    await good(mine.mfa.verify({ factorId, challengeId, code }))
    const level = await good(mine.mfa.getAuthenticatorAssuranceLevel())
    assert.deepEqual([level.currentLevel, level.nextLevel], ['aal2', 'aal2'])
    const methods = level.currentAuthenticationMethods.map((one) => one.method).sort()
    assert.deepEqual(methods, ['password', 'totp'])
    assert.deepEqual((await good(mine.mfa.listFactors())).totp.map((one) => one.id), [factorId])
    assert.ok((await client().getUser(session.access_token)).error)
    await ana(elsewhere)
    const half = await good(elsewhere.mfa.getAuthenticatorAssuranceLevel())
    assert.deepEqual([half.currentLevel, half.nextLevel], ['aal1', 'aal2'])
    await refused('insufficient_aal', elsewhere.updateUser({ password: OTHER }), 401)
    await refused('insufficient_aal', elsewhere.mfa.unenroll({ factorId }), 422)
    await good(mine.mfa.unenroll({ factorId }))
    await good(mine.refreshSession())
    const after = await good(mine.mfa.getAuthenticatorAssuranceLevel())
    assert.deepEqual([after.currentLevel, after.nextLevel], ['aal1', 'aal1'])
  },
  async admin_factors() {
    const admin = client(secret).admin
    const mine = client()
    const userId = (await ana(mine)).user.id
    const made = await good(mine.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' }))
    const listed = await good(admin.mfa.listFactors({ userId }))
    assert.deepEqual(listed.factors.map((one) => one.id), [made.id])
    await good(admin.mfa.deleteFactor({ userId, id: made.id }))
    assert.deepEqual((await good(admin.mfa.listFactors({ userId }))).factors, [])
  },
  async get_claims() {
    const mine = client()
    const session = await ana(mine)
    const said = await good(mine.getClaims())
    assert.equal(said.header.alg, 'ES256')
    assert.equal(said.claims.sub, session.user.id)
    assert.equal(said.claims.aal, 'aal1')
  },
}

assert.ok(lines[line], `no line ${line}`)
await lines[line]()
console.log('OK')
