"""Operations platform for WeChat mini-program subscription messages."""
