#!/usr/bin/env node
// The fold of profile.py once more: the same events add up to the same profile, whoever reads them.
//
//   node profile.mjs USER [TIME]     TIME is anything that `Date` understands

const TOPIC = (process.env.TIDEGATE_URL ?? "http://127.0.0.1:8080") + "/v1/topics/profile-events"

const changes = {
  registered: (profile, { name, email }) => ({ ...profile, name, email, email_confirmed: false, newsletter: false }),
  email_changed: (profile, { email }) => ({ ...profile, email, email_confirmed: false }),
  email_confirmed: profile => ({ ...profile, email_confirmed: true }),
  name_changed: (profile, { name }) => ({ ...profile, name }),
  address_changed: (profile, address) => ({ ...profile, address }),
  newsletter_changed: (profile, { subscribed }) => ({ ...profile, newsletter: subscribed }),
  closed: ({ version }) => ({ version, closed: true }),
}

/** The profile after one more event. Only the version that comes next counts. */
export function apply(profile, { version, type, data }) {
  if (version !== (profile?.version ?? 0) + 1) return profile
  const next = { ...profile, version }
  return Object.hasOwn(changes, type) ? changes[type](next, data) : next
}

/** The user's profile as it was at `asOf`, in milliseconds since 1970; undefined if there was none. */
export async function profileOf(user, asOf = Infinity) {
  const answer = await fetch(`${TOPIC}/records?${new URLSearchParams({ key: user, format: "ndjson" })}`)
  if (!answer.ok) throw new Error((await answer.json()).detail)
  const records = (await answer.text()).split("\n").filter(line => line).map(line => JSON.parse(line))
  return records.filter(({ timestamp }) => timestamp <= asOf).reduce((profile, { value }) => apply(profile, value), undefined)
}

const [user, time] = process.argv.slice(2)
const profile = await profileOf(user, time && Date.parse(time))
if (!profile) throw new Error(`there is no ${user}`)
console.log(JSON.stringify(profile, null, 2))
