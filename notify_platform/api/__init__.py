"""The API: for the mini-program on the phone, and for the merchant's own back end. DRF lives only here."""
