rule example_internal_marker
{
    meta:
        description = "A file that is marked as not to leave the house"
        author = "Your security team"
        date = "2026-11-25"
        reference = "https://example.org/policies/markers"
        license = "Apache-2.0"
        weighbridge_action = "block"
    strings:
        $marker = "EXAMPLE-INTERNAL-ONLY" ascii wide
        $ticket = /EXAMPLE-[0-9]{4,6}: do not publish/
    condition:
        any of them
}
