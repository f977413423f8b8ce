"""The authorization server: apps, what people allow them, and the tokens made of it. docs/explanation/smart.md.

    clients       who an app is, and how it proves it
    asking        what an app asks for, checked and kept until the person has answered
    launching     a launch from a page of ours
    allowing      the answer: a grant, its one-time code
    issuing       codes, refresh tokens and assertions become access tokens
    bearing       from an access token back to a principal, for the Doorkeeper
    keys          ID tokens and the keys that sign them

Pages and endpoints are in xinglin.web.oauth. Nothing here knows HTTP, except `fetching`, which calls out.
"""
