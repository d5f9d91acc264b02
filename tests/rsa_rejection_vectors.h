/*
 * PKCS#1 v1.5 decryption with implicit rejection: a throw-away RSA-1024 key and, for ciphertexts
 * of good and bad blocks, what OpenSSL 4.0.0 (which implements it itself) makes of them.
 */
#ifndef RSA_REJECTION_VECTORS_H
#define RSA_REJECTION_VECTORS_H

#define REJECTION_N                                                                                \
    "cb358dcb45314a81ab4776172cd95e6451544beccddd66b5feea00795ec20b4714b85a486ceb"                 \
    "888db809e5dc0466b8e8cb2b834a173d3c1dfe240b6c1aca53c5ab81fa5a8c29d4d731de7f1b"                 \
    "4a35e56f65c106d805f76867a63e205feee65dc8eaa840caf8453733eecd683dce7090fbde3c"                 \
    "8f1017bbf9ca47333700fd17e6af"
#define REJECTION_D                                                                                \
    "9ac6ce9a5db85e74877de59f5f44ad15a1b0a027dce15ec30e4733573e6a73e68f0c9f8f7c8e"                 \
    "a5b2b3d3ae2537a0fa042e03957b505a0eb9158264c4d15efc103e51c256c5a6560ec226942a"                 \
    "63ccdc1cdebe80e02cc8c89be25e5e4fe52590006c7ed4c691d5c9c050b3c9971147f73bf4c3"                 \
    "58dec2986aa591aea5d5a022d829"

static const struct { const char *name, *ciphertext, *message; } REJECTION_VECTORS[] = {
    {"good",
     "7753f76250c7dfe394b3d43fe8dcfc6d001fb20af7b640cdc2819ca72303aee9fbc26c1ed75e"
     "49b508c29846bf6966222ac46bfd89feb09fcd9c77bb21406e02464177eb3c0848e72e3c1c78"
     "126dd0687bf130e0c1c447d26b6c5c3e9ab29745baf33413bdac677fccecba62c524108b179e"
     "74b71aaeb26d1fa76cc2345f3ed3",
     "6d65737361676521"},
    {"type 1",
     "af0d9c26c93c9149583c185e11f18e86492e10f5e95742ae7de14adbdac9aa92086ce39afe8b"
     "60dc1b44fe4b8bc8492d1a62ce6bd230952cb59dbf38eef63fa9754cc2ac8f278546069f46f9"
     "c32380e62bd24078dbf2c26e5f68eceffc601472b28a3fabe8057b55f3e463a8785c07580c26"
     "25418c7a965cff8d4ec4a70472ff",
     "0658b7c8ee"},
    {"no separator",
     "35c28965a28619e7b3bbd26d629d3200c2331784a2c3e1495a8e27476cbf8a3052384c56cbc2"
     "1047a3b34dd13d227454058106b3b6b4c9cb42559b2ea50bf8653af548d7cbca277e367bbb56"
     "60e0c458b3fb86a8af72b2ba41554f6668a9c4ec07592196aa8667c5c284ecfc47376aedacc0"
     "5993267b930f254f864bc84a3923",
     "603295c8c26f3633df55b0b33f9b187502532a48f1b2a74dad6622d4c1e0388125509bc73fe0"
     "222eba86fdbe6bbab5"},
    {"short padding",
     "3a9b3ac95719b16e8ecd2ed56ddd66fd9758809be50855122fa792f4c479c065152c26fb64bc"
     "ac052176966c84237dd98fb3b44b9a5d584594db22b6491fccf91080574d25524bacac6004b1"
     "84459366cf7562c82e9eafc7f542b9ef247d5a5e7b7d34ee802d99e95b27fa52a67f68cb71e6"
     "c400b267e15d986ffa01f026c0bd",
     "95db5247eb61eb19509ab0bafb90e05dc46f6a074dbcbc228de7e5ee454f3890a675b4809fa0"
     "892792162104f4e1cab91174c8eb0071318458c046f4e561b391819807e6535d605612a80cfa"
     "13502b3fd55e"},
    {"first byte",
     "81c08b90e764c89d95fffcef0ff2533acd37ab771fcbc6ba35ed3263fe2125ec00fbb4f6d86e"
     "934e376b2f0c9dea26dfc450638f7876f4c0a9649fd4577733c5c45d12ac1ecce7aedde78674"
     "cea2ffa84187a05bf4a4b6119b4fa367c3b3ae2c9a201c3e3bf6c3b1171bb88b9c110b6b9224"
     "26618f561b36a3c63606046e4f9a",
     "304af2cfa75d4c5d"},
    {"empty",
     "aedfd70149017cfd52afec31a5ca8e3f14e4e8a7e13f87ae3429e5b3155f77867d6b3b13b585"
     "5f9eed9a184556a6c66c9465b8c364b8b75cc6137739f989ab394c37a59da3542fd2d5158756"
     "dbf3650ae15fba07ee5749ff49c2e4da1fb53a31222a6bab4f455a062e09ac55f8671c07319e"
     "266e07dd88cb60c15a765055f2d5",
     ""},
    {"eight",
     "49846f8a72f0c5e1ecd769631937b7e52e38ffa1fe8e52bfd1a14e6340b6874318025cae3df8"
     "afdd7e3fbed0a2f697a93a3c4e354493775fb267df1c62e1e1ef88bb8e3078599e360494d7c8"
     "068a5088626f32fdf897f50ceea09faa2e0349cc2b1324fad379ce40cb8c89b75d6bcd6a25cc"
     "a72def7ae1164d8a36f5b0cbe05a",
     "3f92b43c743c3b1dfbe504a74b4ba5cc8a7c2262d03e75267323fcf6ad3e1399a8d669060f19"
     "72c6f85c673e3e7908f68e9a7e1880bd52f2ce4e9ac2438ca2d55b013cf5e154d16d040c3dd6"
     "026a9fc16b5689045daedd3d37264ab1b9eb0da08c84e3e7f50d71258d45e2decbc56142339c"
     "1e1985"},
};
#endif
