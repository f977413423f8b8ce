"""Who is meant, and under which numbers: Patient/$match (FHIR R4; IHE PDQm ITI-119) and $ihe-pix (IHE PIXm ITI-83)."""
