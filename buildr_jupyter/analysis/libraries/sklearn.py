"""scikit-learn: which of its classes and functions draw from numpy's global generator, and what its methods change.

A class or function that is not named here may draw, unless it is told ``random_state``. That what is named draws none
is tested by calling it.
"""

from __future__ import annotations

from buildr_jupyter.analysis.libraries.names import Methods, words

__all__ = [
    "DRAWS",
    "DRAWS_WHEN_ASKED",
    "FITTERS",
    "FIT_MAY_DRAW",
    "IMPORTS_THAT_CHANGE",
    "METHODS",
    "QUIET",
    "QUIET_WITHOUT",
]

QUIET = words(
    "ARDRegression AgglomerativeClustering BayesianRidge BernoulliNB Binarizer Birch CCA CategoricalNB ClassicalMDS "
    "ComplementNB ConfusionMatrixDisplay CountVectorizer DBSCAN DecisionBoundaryDisplay DetCurveDisplay "
    "DictVectorizer EmpiricalCovariance FeatureAgglomeration FeatureHasher FunctionTransformer GammaRegressor "
    "GaussianNB GenericUnivariateSelect HDBSCAN HashingVectorizer HuberRegressor IncrementalPCA IsotonicRegression "
    "KNNImputer KNeighborsClassifier KNeighborsRegressor KNeighborsTransformer KernelCenterer KernelDensity "
    "LabelBinarizer LabelEncoder LabelPropagation LabelSpreading LassoLarsIC LeaveOneGroupOut LeaveOneOut "
    "LeavePGroupsOut LeavePOut LedoitWolf LinearDiscriminantAnalysis LinearRegression LocalOutlierFactor MaxAbsScaler "
    "MeanShift MinMaxScaler MissingIndicator MultiLabelBinarizer MultinomialNB NearestCentroid NearestNeighbors "
    "Normalizer OAS OPTICS OneHotEncoder OrdinalEncoder OrthogonalMatchingPursuit PLSCanonical PLSRegression PLSSVD "
    "ParameterGrid PoissonRegressor PolynomialFeatures PowerTransformer PrecisionRecallDisplay PredefinedSplit "
    "PredictionErrorDisplay QuadraticDiscriminantAnalysis QuantileRegressor RadiusNeighborsClassifier "
    "RadiusNeighborsRegressor RadiusNeighborsTransformer RobustScaler RocCurveDisplay SelectFdr SelectFpr SelectFwe "
    "SelectKBest SelectPercentile ShrunkCovariance SimpleImputer SparseCoder SplineTransformer StandardScaler "
    "TfidfTransformer TfidfVectorizer TimeSeriesSplit TweedieRegressor VarianceThreshold accuracy_score "
    "add_dummy_feature adjusted_mutual_info_score adjusted_rand_score as_float_array assert_all_finite auc "
    "average_precision_score balanced_accuracy_score binarize brier_score_loss calinski_harabasz_score "
    "check_consistent_length check_increasing check_scalar check_symmetric chi2 class_likelihood_ratios "
    "classification_report clear_data_home clone cluster_optics_dbscan cluster_optics_xi cohen_kappa_score "
    "column_or_1d completeness_score compute_class_weight compute_optics_graph compute_sample_weight confusion_matrix "
    "confusion_matrix_at_thresholds consensus_score contingency_matrix coverage_error d2_absolute_error_score "
    "d2_brier_score d2_log_loss_score d2_pinball_score d2_tweedie_score davies_bouldin_score dbscan dcg_score "
    "det_curve dump_svmlight_file empirical_covariance entropy euclidean_distances expected_mutual_information "
    "explained_variance_score export_graphviz export_text f1_score f_classif f_oneway f_regression fbeta_score "
    "fetch_20newsgroups_vectorized fetch_california_housing fetch_file fetch_lfw_pairs fetch_lfw_people fetch_openml "
    "fetch_species_distributions fowlkes_mallows_score gen_batches gen_even_slices get_bin_seeds get_data_home "
    "get_scorer get_scorer_names grid_to_graph hamming_loss hinge_loss homogeneity_completeness_v_measure "
    "homogeneity_score img_to_graph indexable isotonic_regression jaccard_score johnson_lindenstrauss_min_dim "
    "kneighbors_graph l1_min_c label_binarize label_ranking_average_precision_score label_ranking_loss lars_path "
    "lars_path_gram ledoit_wolf ledoit_wolf_shrinkage linkage_tree load_breast_cancer load_diabetes load_digits "
    "load_iris load_linnerud load_sample_image load_sample_images load_svmlight_file load_svmlight_files load_wine "
    "log_likelihood log_loss make_column_selector make_scorer matthews_corrcoef max_error maxabs_scale "
    "mean_absolute_error mean_absolute_percentage_error mean_gamma_deviance mean_pinball_loss mean_poisson_deviance "
    "mean_shift mean_squared_error mean_squared_log_error mean_tweedie_deviance median_absolute_error "
    "metric_at_thresholds minmax_scale multilabel_confusion_matrix murmurhash3_32 mutual_info_score "
    "nan_euclidean_distances ndcg_score normalize normalized_mutual_info_score oas orthogonal_mp orthogonal_mp_gram "
    "pair_confusion_matrix pairwise_distances pairwise_distances_argmin pairwise_distances_argmin_min "
    "pairwise_distances_chunked pairwise_kernels plot_tree power_transform precision_recall_curve "
    "precision_recall_fscore_support precision_score r2_score r_regression radius_neighbors_graph rand_score "
    "recall_score reconstruct_from_patches_2d robust_scale roc_auc_score roc_curve root_mean_squared_error "
    "root_mean_squared_log_error safe_mask safe_sqr scale shrunk_covariance silhouette_samples "
    "sort_graph_by_row_values sparse_encode strip_accents_ascii strip_accents_unicode strip_tags top_k_accuracy_score "
    "trustworthiness v_measure_score ward_tree zero_one_loss"
)
"""Classes whose methods draw nothing, and functions that draw nothing."""

FITTERS = words(
    "ColumnTransformer FeatureUnion FixedThresholdClassifier FrozenEstimator GridSearchCV LarsCV LassoLarsCV "
    "LearningCurveDisplay MultiOutputClassifier MultiOutputRegressor OneVsOneClassifier OneVsRestClassifier "
    "OrthogonalMatchingPursuitCV Pipeline RFE RFECV RidgeCV RidgeClassifierCV SelectFromModel SelfTrainingClassifier "
    "SequentialFeatureSelector StackingClassifier StackingRegressor TransformedTargetRegressor ValidationCurveDisplay "
    "VotingClassifier VotingRegressor check_scoring cross_val_predict cross_val_score cross_validate "
    "make_column_transformer make_pipeline make_union partial_dependence validation_curve"
)
"""Classes and functions that draw what the estimators and splitters draw that they are given."""

QUIET_WITHOUT = {
    "LogisticRegression": ("solver",), "LogisticRegressionCV": ("solver", "cv"), "Ridge": ("solver",),
    "RidgeClassifier": ("solver",), "KFold": ("shuffle",), "StratifiedKFold": ("shuffle",),
    "StratifiedGroupKFold": ("shuffle",), "GroupKFold": ("shuffle",),
    "GaussianProcessRegressor": ("n_restarts_optimizer", "optimizer"),
    "GaussianProcessClassifier": ("n_restarts_optimizer", "optimizer"), "Lars": ("jitter",), "LassoLars": ("jitter",),
    "silhouette_score": ("sample_size",), "Perceptron": (),
}  # fmt: skip
"""Classes and functions that draw nothing where they are not told one of these; they could be told a seed."""

DRAWS = words(
    "AdaBoostClassifier AdaBoostRegressor AffinityPropagation BaggingClassifier BaggingRegressor "
    "BayesianGaussianMixture BernoulliRBM BisectingKMeans DecisionTreeClassifier DecisionTreeRegressor "
    "DictionaryLearning EllipticEnvelope ExtraTreeClassifier ExtraTreeRegressor ExtraTreesClassifier "
    "ExtraTreesRegressor FastICA GaussianMixture GradientBoostingClassifier GradientBoostingRegressor "
    "GroupShuffleSplit HistGradientBoostingClassifier HistGradientBoostingRegressor IsolationForest KMeans "
    "LatentDirichletAllocation MDS MLPClassifier MLPRegressor MinCovDet MiniBatchDictionaryLearning MiniBatchKMeans "
    "MiniBatchNMF MiniBatchSparsePCA NMF Nystroem OutputCodeClassifier PassiveAggressiveClassifier "
    "PassiveAggressiveRegressor PolynomialCountSketch RANSACRegressor RBFSampler RandomForestClassifier "
    "RandomForestRegressor RandomTreesEmbedding RandomizedSearchCV SGDClassifier SGDOneClassSVM SGDRegressor "
    "ShuffleSplit SkewedChi2Sampler SpectralBiclustering SpectralClustering SpectralCoclustering SpectralEmbedding "
    "StratifiedShuffleSplit TheilSenRegressor TruncatedSVD k_means kmeans_plusplus make_blobs make_circles "
    "make_classification make_friedman1 make_moons make_regression make_s_curve make_swiss_roll "
    "permutation_importance resample shuffle train_test_split"
)
"""Classes and functions whose results are other ones each time, where they are given no seed."""

FIT_MAY_DRAW = words(
    "CalibratedClassifierCV ClassifierChain ElasticNet ElasticNetCV FactorAnalysis GaussianRandomProjection "
    "HalvingGridSearchCV HalvingRandomSearchCV KBinsDiscretizer KernelPCA KernelRidge Lasso LassoCV LinearSVC "
    "LinearSVR MultiTaskElasticNet MultiTaskElasticNetCV MultiTaskLasso MultiTaskLassoCV NuSVC NuSVR OneClassSVM PCA "
    "QuantileTransformer RegressorChain SVC SVR SparsePCA SparseRandomProjection TargetEncoder"
)
"""Classes whose fitting may draw, and whose other methods draw nothing, as those of QUIET, FITTERS and DRAWS do."""

DRAWS_WHEN_ASKED = words("BernoulliRBM LatentDirichletAllocation MiniBatchNMF NMF RandomTreesEmbedding")
"""Classes of DRAWS of which this is not known: what they are asked for once fitted may draw, too."""

IMPORTS_THAT_CHANGE = {"sklearn.experimental": "sklearn"}
"""Prefix of a module to the package that it changes by being imported."""

_FRESH = words(
    "aic bic build_analyzer build_preprocessor build_tokenizer cost_complexity_pruning_path decision_function "
    "decision_path get_depth get_feature_names_out get_n_leaves get_n_splits get_support inverse_transform kneighbors "
    "kneighbors_graph predict predict_log_proba predict_proba score score_samples staged_predict staged_predict_proba "
    "staged_score"
)

METHODS = Methods(
    quiet=_FRESH,
    changing=words("sparsify"),
    fresh=_FRESH,
    gives=("builtins", "numpy", "pandas", "scipy"),
)
