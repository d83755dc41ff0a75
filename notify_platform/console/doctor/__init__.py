"""Looking the installation over: every check with what is wrong and the sentence that says how to mend it."""
